"""The neighbours of all windows, searched and written down by the workers of all nodes.

Every worker process holds the index. It takes a part of a split's windows, embeds what was
detected, searches, and writes the part of the windows table itself; the driver hears its name.
What is found and written depends on the data alone: a part is searched as one, by one thread,
whoever does it. A worker that is lost costs the part it was at.

A PVD that is more than one node should hold is searched shard by shard: in every round all workers
hold the same shard, and write what was found so far, which the next round takes up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from poise.catalog.splits import Split
from poise.lake.ids import encode
from poise.lake.manifest import Exclude, part_folder
from poise.lake.parts import read_part, window_ranges
from poise.lake.poses import read_windows
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise.lake.windows import neighbours_of, write_windows_part
from poise.pvd.node_index import Files, Shard
from poise.pvd.vectors import Floats, embedded, shared
from poise.runtime import storage
from poise.runtime.errors import LakeError, PoiseError
from poise.runtime.places import cannot_write
from poise.runtime.ray_cluster.join import available_cpus
from poise.runtime.ray_cluster.nodes import other_nodes
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.neighbours import Neighbours

Splits = Mapping[Split, SplitIndex]
#: Names of a split's windows parts, in row order.
Parts = dict[Split, list[str]]

#: Training windows that ask for their neighbours, to see what shards find of them all.
_SAMPLE: Final = 512
_COLUMNS: Final[dict[str, pa.DataType]] = {
    "split": pa.string(),
    "number": pa.int64(),
    "part": pa.string(),
    "rows": pa.int64(),
    "error": pa.string(),
}
_RECEIPT: Final = pa.schema(_COLUMNS)


@dataclass(frozen=True)
class _Round:
    """What every worker is told: where, of which splits, and what to search.

    Attributes:
        shard: None to search nothing.
        files: of its index, for nodes that have not built it; None to build it there.
    """

    lake: str
    splits: Splits
    shard: Shard | None = None
    files: "ray.ObjectRef[Files] | None" = None


@dataclass(frozen=True)
class _Built:
    """What became of an index, and its answers to a sample of training windows."""

    error: str = ""
    recall: float = 1.0
    found: Neighbours | None = None
    truth: Neighbours | None = None


def write_windows(lake: str, splits: Splits, progress: Callable[[int], None]) -> Parts:
    """Write the windows of splits, without neighbours; raises as `search_windows`."""
    return _all_parts(_Round(lake, splits), {}, progress)


def search_windows(
    lake: str, splits: Splits, shards: Sequence[Shard], progress: Callable[[int], None]
) -> tuple[Parts, float]:
    """Find the neighbours of every detected window, and write the windows.

    Args:
        lake: where the sequences are, and the windows go.
        splits: the splits to write.
        shards: the train split's truth, all of it.
        progress: callback with the number of windows searched so far, once for every shard.

    Returns:
        The parts, and the share of the 3 nearest that is found.

    Raises:
        LakeError: a part cannot be read or written, or a node's cache.
    """
    parts: Parts = {}
    answers: list[_Built] = []
    windows = sum(index.windows for index in splits.values())
    for turn, shard in enumerate(shards):
        elsewhere = bool(other_nodes())
        told, files = _build.remote(shard, len(shards) > 1, elsewhere)
        built: _Built = ray.get(told)
        if built.error:
            raise LakeError(built.error)
        answers.append(built)

        def tell(done: int, before: int = turn * windows) -> None:
            progress(before + done)

        found = _all_parts(_Round(lake, splits, shard, files if elsewhere else None), parts, tell)
        for split, names in parts.items():
            folder = part_folder(lake, splits[split].track, "windows", split)
            for name in set(names) - set(found[split]):
                storage.remove(storage.join(folder, name))
        parts = found
    return parts, answers[0].recall if len(shards) == 1 else _recall_of(answers)


def _all_parts(told: _Round, before: Parts, progress: Callable[[int], None]) -> Parts:
    """Have the workers write all parts, each from the one before where there is one."""
    rows = [
        {"split": split, "number": number, "before": before[split][number] if before else ""}
        for split, index in told.splits.items()
        for number in range(len(window_ranges(index.windows)))
    ]
    if not rows:
        return {split: [] for split in told.splits}
    receipts = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _write_part,
        batch_size=1,
        batch_format="numpy",
        fn_kwargs={"told": ray.put(told)},
        num_cpus=1,
    )
    names: dict[tuple[Split, int], str] = {}
    done = 0
    for receipt in receipts.iter_rows():
        if receipt["error"]:
            raise LakeError(receipt["error"])
        names[receipt["split"], receipt["number"]] = receipt["part"]
        done += receipt["rows"]
        progress(done)
    return {
        split: [names[split, number] for number in range(len(window_ranges(index.windows)))]
        for split, index in told.splits.items()
    }


def _write_part(batch: dict[str, NDArray[Any]], told: "ray.ObjectRef[_Round]") -> pa.Table:
    """Write one part; say which, or what went wrong."""
    (split,), (number,), (before,) = (
        batch[name].tolist() for name in ("split", "number", "before")
    )
    what: _Round = shared(told)
    own, lake = what.splits[split], what.lake
    begin, end = window_ranges(own.windows)[number]
    part = error = ""
    try:
        found = None
        if what.shard is not None:
            found = _found(_held(told), own, begin, end, what.shard.exclude)
        if found is not None and before:
            folder = part_folder(lake, own.track, "windows", split)
            found = found.merged(neighbours_of(read_part(f"{folder}/{before}")))
        part = write_windows_part(lake, own, number, found)
    except PoiseError as reason:
        error = str(reason)
    except OSError as reason:
        error = f"{own.track}, {split} windows: {cannot_write(lake, reason)}"
    row = {"split": split, "number": number, "part": part, "rows": end - begin, "error": error}
    return pa.Table.from_pylist([row], _RECEIPT)


@lru_cache(maxsize=1)
def _held(told: "ray.ObjectRef[_Round]") -> NeighbourIndex:
    """Open the index, once for all parts that this process is given."""
    what: _Round = shared(told)
    assert what.shard is not None  # noqa: S101
    files = what.files
    index = what.shard.open(None if files is None else lambda: ray.get(files))
    # Others have the other cores, and what is found must not depend on how many there are.
    faiss.omp_set_num_threads(1)
    return index


def _found(
    database: NeighbourIndex, own: SplitIndex, begin: int, end: int, exclude: Exclude
) -> Neighbours:
    queries_BE = np.concatenate(list(embedded(own, begin, end, "detected")))
    labels = None
    if own.split == "train":
        row_B, _ = own.places(np.arange(begin, end))
        labels = np.array(own.kept_apart(exclude), object)[row_B].tolist()
    return database.search(queries_BE, NEIGHBOURS, labels)


@ray.remote(num_cpus=1, num_returns=2)
def _build(shard: Shard, sampled: bool, elsewhere: bool) -> tuple[_Built, Files]:
    """Build an index, once for all workers; with files where other nodes are to open it."""
    if shard.exact and not sampled:
        return _Built(), {}
    # Nothing else of the ingest runs meanwhile.
    faiss.omp_set_num_threads(available_cpus())
    try:
        index, files = shard.open_to_share() if elsewhere else (shard.open(), {})
    except PoiseError as error:
        return _Built(str(error)), {}
    finally:
        faiss.omp_set_num_threads(1)
    if not sampled:
        return _Built(recall=index.recall), files
    queries_BE, labels = _sample_of(shard)
    found, truth = (
        index.search(queries_BE, NEIGHBOURS, labels, exactly=exactly) for exactly in (False, True)
    )
    return _Built("", index.recall, found, truth), files


def _sample_of(shard: Shard) -> tuple[Floats, list[str]]:
    """Return vectors of some training windows, drawn from all shards, and what they leave out."""
    train = shard.train
    draw = np.random.default_rng(0)
    number_B = np.sort(draw.choice(train.windows, min(_SAMPLE, train.windows), replace=False))
    row_B, start_B = train.places(number_B)
    windows_BTC = read_windows(train, encode(train.ids_S[row_B], start_B), "truth")
    track = train.track
    queries_BE = embed(windows_BTC, track.info.skeleton, track.representation).numpy()
    labels: list[str] = np.array(train.kept_apart(shard.exclude), object)[row_B].tolist()
    return queries_BE, labels


def _recall_of(answers: Sequence[_Built]) -> float:
    """Share of the sample's 3 nearest, of all shards, that their merged answers hold."""
    found, truth = (
        reduce(Neighbours.merged, [one for one in some if one is not None])
        for some in ([one.found for one in answers], [one.truth for one in answers])
    )
    there_BK = truth.ids_BK >= 0
    hits_BK = (truth.ids_BK[:, :, None] == found.ids_BK[:, None]).any(2) & there_BK
    return float(hits_BK.sum() / max(int(there_BK.sum()), 1))
