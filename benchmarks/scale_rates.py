"""What a frame costs at each stage, in seconds of one core and in bytes: what `scale` counts with.

python -m benchmarks.scale_rates --data DATA [--rows 150000] > benchmarks/scale_rates.json

Reads the raw UI-PRMD of DATA, writes it as lake parts, embeds it, finds neighbours among its
windows and CMU's as the neighbour tables ask, trains and refines with networks at their published
sizes. All times are CPU time, of all threads, which holds beside other work; a minute of it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import faiss
import numpy as np
import torch
from benchmarks.pvd import WIDTH, K, real
from benchmarks.refiners import STEP, Work, build

from poise.catalog.tracks import Track
from poise.lake.ids import window_count
from poise.lake.parts import read_part, write_part
from poise.lake.poses import gather_windows
from poise.lake.schemas import sequence_schema, sequence_table
from poise.readers.raw_split import open_split, sources
from poise.readers.sequence import PoseSequence
from poise_models.base.clip import Clip
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.index.neighbour_index import NeighbourIndex, index_bytes

TRACK = Track.parse("uiprmd/kinect/3D")
NETWORKS = ("synspp", "smoothnet", "poise")
#: Queries are those of training: 64 windows that follow one another, their own subject left out.
ASKED, TOGETHER = 4096, 64
REFINED = 800
T = TypeVar("T")


def ingest(data: Path, folder: Path) -> dict[str, float]:
    """Read raw files, write a part, read it back and embed its windows."""
    read, made = _cpu(lambda: list(open_split(data, TRACK, "train")))
    kept = [one for one in made if isinstance(one, PoseSequence)]
    frames_S = np.array([len(one.detected_FC) for one in kept])
    frames, rows = int(frames_S.sum()), int(window_count(frames_S).sum())
    channels = TRACK.info.joints * TRACK.info.dims

    def write() -> str:
        table = sequence_table(list(range(len(kept))), kept)
        return write_part(str(folder), 0, sequence_schema(channels), [table])

    wrote, name = _cpu(write)

    def vectors() -> None:
        table = read_part(str(folder / name), ["frames", "truth"])
        column: Any = table.column("truth").combine_chunks()
        truth_FC = column.flatten().flatten().to_numpy()
        for windows_BTC in gather_windows(truth_FC.reshape(-1, channels), frames_S):
            embed(windows_BTC, TRACK.info.skeleton, TRACK.representation)

    embedded, _ = _cpu(vectors)
    raw = sum(path.stat().st_size for path in sources(data, TRACK, "train"))
    return {
        "read": read / frames,
        "write": wrote / frames,
        "embed": embedded / rows,
        "raw_bytes": raw / frames,
        "lake_bytes": (folder / name).stat().st_size / frames,
    }


def neighbours(data: Path, count: int) -> dict[str, float]:
    """Build the index of so many real rows, and find the neighbours of some."""
    rows, _ = real(data, count)
    built, index = _cpu(lambda: NeighbourIndex.build(rows.ids, rows.vectors, rows.subjects))
    starts = np.linspace(0, count - TOGETHER, ASKED // TOGETHER).astype(int)

    def search() -> None:
        for start in starts:
            here = slice(start, start + TOGETHER)
            index.search(rows.vectors[here], K, rows.subjects[here].tolist())

    asked = min(_cpu(search)[0] for _ in range(3))
    return {"rows": count, "build": built / count, "query": asked / ASKED, "recall": index.recall}


def network(name: str) -> dict[str, float]:
    """Train a step of 512 windows, and refine one clip, on one thread."""
    work = Work.of(name, "cpu")
    step = work.step(STEP, compiled=False)
    step()
    trained = min(_cpu(step)[0] for _ in range(3))
    refiner = build(name, "cpu").eval()
    detected_FC = 0.3 * torch.randn(REFINED, work.batch.detected_BTC.shape[-1])
    clip = Clip(detected_FC)
    refined = min(_cpu(lambda: refiner.refine([clip]))[0] for _ in range(3))
    return {"train": trained / STEP, "refine": refined / REFINED}


def _cpu(call: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def main() -> None:
    """Print the rates as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that holds poses/, with UI-PRMD and CMU")
    add("--rows", type=int, default=150_000, help="of the index; there are 187,574")
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "made": f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs",
            "load": round(os.getloadavg()[0], 1),
            **ingest(given.data, Path(folder)),
            "index_bytes": index_bytes(1_000_000, WIDTH) / 1_000_000,
            "neighbours": neighbours(given.data, given.rows),
            "networks": {name: network(name) for name in NETWORKS},
        }
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
