"""The Pose Vector Database at growing sizes: search, embedding and Milvus, in one run.

python -m benchmarks.pvd [--rows 10000 100000 1000000] [--data $POISE_DATA] [--lite | --standalone |
--milvus URI]

Made-up windows follow smooth motion in 12 dimensions, with an offset for each of 30 subjects. With
--data, the truth windows of UI-PRMD and CMU are used instead; beyond their number they are repeated
with other proportions, noted in the table. Queries are windows of one subject, moved a little, and
that subject is left out: the question of training. Recall@3 is against an exact
search, on 256 queries.

Milliseconds are wall time, the best of five. CPU ms are of all threads for 1416 queries: two idle
cores take half of it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.lake.poses import gather_windows
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise_retrieval.geometry import skeletons
from poise_retrieval.geometry.align import align
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.index.neighbour_index import NeighbourIndex
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.standalone import StandaloneMilvus
from poise_retrieval.milvus.store import PoseStore

REAL = ("uiprmd/kinect/3D", "cmu/gaussian-10/3D")
WIDTH, SUBJECTS, LATENT, K = 84, 30, 12, 3
BATCHES = (1, 64, 1416)
INSERT = 20_000
#: Queries whose true neighbours are found, which takes longest of all.
JUDGED = 256

Floats = NDArray[np.float32]
Search = Callable[[Floats], NDArray[np.int64]]


@dataclass(frozen=True)
class Rows:
    """Windows to search, and the queries of one subject with their true neighbours."""

    ids: NDArray[np.int64]
    vectors: Floats
    subjects: NDArray[np.str_]
    queries: Floats
    left_out: str
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Floats, subjects: NDArray[np.str_]) -> "Rows":
        """Draw the queries and find their neighbours by brute force."""
        draw = np.random.default_rng(1)
        names, counts = np.unique(subjects, return_counts=True)
        subject = names[counts.argmax()]
        own = subjects == subject
        some = draw.choice(np.flatnonzero(own), BATCHES[-1])
        queries = vectors[some] + draw.normal(0, 0.002, (len(some), WIDTH)).astype(np.float32)
        others = np.flatnonzero(~own)
        truth = np.empty((0, K), np.int64)
        if len(others):
            truth = others[faiss.knn(queries[:JUDGED], vectors[others], K)[1]]
        return cls(np.arange(len(vectors)), vectors, subjects, queries, str(subject), truth)


def made_up(rows: int) -> Rows:
    """Make windows of smooth motion."""
    draw = np.random.default_rng(0)
    kernel = np.hanning(31) / np.linalg.norm(np.hanning(31))
    latent = np.empty((rows, LATENT), np.float32)
    for number in range(LATENT):
        steps = draw.normal(size=rows).astype(np.float32)
        latent[:, number] = 0.05 * 0.8**number * np.convolve(steps, kernel, "same")
    who = np.repeat(np.arange(SUBJECTS), -(-rows // SUBJECTS))[:rows]
    offsets = draw.normal(0, 0.02, (SUBJECTS, WIDTH)).astype(np.float32)
    vectors = latent @ draw.normal(size=(LATENT, WIDTH)).astype(np.float32)
    for start in range(0, rows, 65_536):
        here = slice(start, start + 65_536)
        noise = draw.normal(0, 0.002, vectors[here].shape).astype(np.float32)
        vectors[here] += offsets[who[here]] + noise
    return Rows.of(vectors, np.array([f"S{n}" for n in range(SUBJECTS)])[who])


def real(folder: Path, rows: int) -> tuple[Rows, int]:
    """Read the truth windows there are; say how many."""
    vectors, subjects = [], []
    for name in REAL:
        track = Track.parse(name)
        for sequence in open_split(folder, track, "train"):
            if not isinstance(sequence, PoseSequence) or sequence.truth_FC is None:
                continue
            for windows_BTC in gather_windows(
                sequence.truth_FC, np.array([len(sequence.truth_FC)])
            ):
                vectors.append(embed(windows_BTC, track.info.skeleton, "3D").numpy())
                subjects += [f"{track.dataset}/{sequence.subject}"] * len(windows_BTC)
    found, who = np.concatenate(vectors), np.array(subjects)
    draw = np.random.default_rng(0)
    number = np.unique(who, return_inverse=True)[1]
    copies = [found]
    for _ in range(1, -(-rows // len(found))):
        stretch = draw.normal(1, 0.03, WIDTH)
        offset = draw.normal(0, 0.01, (number.max() + 1, WIDTH))
        copies.append((found * stretch + offset[number]).astype(np.float32))
    # Copies lie side by side, so that each size has windows of all subjects.
    vectors_NE = np.concatenate(copies)[:rows]
    return Rows.of(vectors_NE, np.tile(who, len(copies))[:rows]), len(found)


def line(name: str, rows: Rows, build_s: float, rss: int, search: Search) -> None:
    """Time searches and print a row of the table."""
    recall = float((rows.truth[:, :, None] == search(rows.queries[:JUDGED])[:, None]).sum())
    wall = {}
    cpu = np.inf
    for batch in BATCHES:
        times = []
        for _ in range(5):
            clock, busy = time.perf_counter(), time.process_time()
            search(rows.queries[:batch])
            times.append(time.perf_counter() - clock)
            if batch == BATCHES[-1]:
                cpu = min(cpu, time.process_time() - busy)
        wall[batch] = min(times)
    cells = " | ".join(f"{1e3 * wall[batch]:.{1 if batch > 1 else 2}f}" for batch in BATCHES)
    print(
        f"| {len(rows.ids):,} | {name} | {build_s:.1f} | {rss / 2**20:,.0f} | {cells} "
        f"| {1e3 * cpu:.0f} | {recall / rows.truth.size:.4f} | {os.getloadavg()[0]:.1f} |",
        flush=True,
    )


def in_process(rows: Rows, windows: bool) -> None:
    """Time the index, and the neighbours of all its windows."""
    process, clock = psutil.Process(), time.perf_counter()
    before = process.memory_info().rss
    index = NeighbourIndex.build(rows.ids, rows.vectors, rows.subjects)
    build_s = time.perf_counter() - clock
    rss = process.memory_info().rss - before
    kind = "index, exact" if index.exact else "index, cells"
    line(
        kind,
        rows,
        build_s,
        rss,
        lambda queries: index.search(queries, K, [rows.left_out] * len(queries)).ids_BK,
    )
    if windows:
        clock = time.perf_counter()
        for start in range(0, len(rows.ids), 65_536):
            here = slice(start, start + 65_536)
            index.search(rows.vectors[here], K, rows.subjects[here].tolist())
        print(f"  neighbours of all {len(rows.ids):,}: {time.perf_counter() - clock:.1f} s")


def graph(rows: Rows) -> None:
    """Time faiss HNSW alone, the reference."""
    untyped: Any = faiss
    order = np.argsort(rows.subjects, kind="stable")
    names = rows.subjects[order]
    own = np.flatnonzero(names == rows.left_out)
    clock = time.perf_counter()
    index = untyped.IndexHNSWFlat(WIDTH, 16)
    index.hnsw.efConstruction = 100
    index.add(rows.vectors[order])
    build_s = time.perf_counter() - clock
    outside = untyped.IDSelectorNot(untyped.IDSelectorRange(int(own[0]), int(own[-1]) + 1))
    for ef in (64, 256):
        given = untyped.SearchParametersHNSW(sel=outside, efSearch=ef)
        line(
            f"faiss HNSW, ef {ef}",
            rows,
            build_s,
            len(rows.ids) * (4 * WIDTH + 136),
            lambda queries, given=given: order[index.search(queries, K, params=given)[1]],  # type: ignore[misc]
        )


def milvus(name: str, uri: str, rows: Rows) -> None:
    """Time one Milvus: insert, seal, search."""
    collection = f"bench_{len(rows.ids)}"
    with closing(PoseStore(uri, timeout_s=600)) as store:
        store.create(collection, WIDTH)
        clock = time.perf_counter()
        for start in range(0, len(rows.ids), INSERT):
            here = slice(start, start + INSERT)
            store.upsert(
                collection, rows.ids[here], rows.vectors[here], rows.subjects[here].tolist()
            )
        insert_s = time.perf_counter() - clock
        store.seal(collection)
        build_s = time.perf_counter() - clock
        line(
            f"{name}, {len(rows.ids) / insert_s:,.0f} rows/s in",
            rows,
            build_s,
            0,
            lambda queries: (
                store.search(collection, queries, K, [rows.left_out] * len(queries)).ids_BK
            ),
        )
        store.drop(collection)


def embedding() -> None:
    """Time embedding and alignment on one core against batched SVD."""
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    windows = 0.2 * torch.randn(65_536, 1, 51, generator=draw)
    windows = windows + 0.02 * torch.randn(65_536, 8, 51, generator=draw)
    poses = windows[:, 0].reshape(-1, 17, 3)[:, :14]
    template = torch.tensor(skeletons.TEMPLATE_3D)
    ours, theirs = _least(lambda: align(poses, template)), _least(lambda: _by_svd(poses, template))
    gap = float((align(poses, template) - _by_svd(poses, template)).abs().max())
    whole = _least(lambda: embed(windows, "h36m17", "3D"))
    print(
        f"\nper second of one core: {65_536 / whole:,.0f} windows embedded; "
        f"{65_536 / ours:,.0f} poses aligned, {65_536 / theirs:,.0f} by batched SVD "
        f"({theirs / ours:.1f} times as long, largest difference {gap:.1e})"
    )


def _least(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        clock = time.thread_time()
        call()
        times.append(time.thread_time() - clock)
    return min(times)


def _by_svd(source_BPD: torch.Tensor, target_PD: torch.Tensor) -> torch.Tensor:
    mean_B1D = source_BPD.mean(1, keepdim=True)
    centred_BPD = source_BPD - mean_B1D
    covariance_BDD = (target_PD - target_PD.mean(0)).mT @ centred_BPD
    left_BDD, singular_BD, right_BDD = torch.linalg.svd(covariance_BDD)
    signs_BD = torch.ones_like(singular_BD)
    signs_BD[:, -1] = torch.linalg.det(left_BDD @ right_BDD).sign()
    turn_BDD = (left_BDD * signs_BD[:, None]) @ right_BDD
    scale_B = (singular_BD * signs_BD).sum(-1) / centred_BPD.square().sum((1, 2))
    moved: torch.Tensor = scale_B[:, None, None] * (centred_BPD @ turn_BDD.mT)
    return moved + target_PD.mean(0)


@contextmanager
def server(given: argparse.Namespace) -> Iterator[tuple[str, str] | None]:
    """Start or name the Milvus that was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        if given.milvus:
            yield "Milvus", given.milvus
        elif given.lite:
            with EmbeddedMilvus(Path(folder)) as lite:
                yield "Milvus Lite", lite.uri
        elif given.standalone:
            with StandaloneMilvus(Path(folder)) as standalone:
                yield "Milvus standalone", standalone.uri
        else:
            yield None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    add("--data", type=Path, help="folder with UI-PRMD and CMU; made-up windows otherwise")
    add("--no-hnsw", dest="hnsw", action="store_false", help="leave the reference out")
    add("--windows", action="store_true", help="also find the neighbours of all windows")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--milvus", help="a Milvus to time too")
    kind.add_argument("--lite", action="store_true", help="time the embedded one too")
    kind.add_argument("--standalone", action="store_true", help="time a full-size one too")
    given = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| rows | engine | build s | MiB | 1, ms | 64, ms | 1416, ms | 1416, CPU ms | recall@3 "
        "| load |"
    )
    print("|" + "---|" * 10)
    with server(given) as found:
        for count in given.rows:
            rows, there = real(given.data, count) if given.data else (made_up(count), count)
            if there < count:
                print(f"  {there:,} real windows, repeated to {count:,} with other proportions")
            in_process(rows, given.windows)
            if given.hnsw:
                graph(rows)
            if found:
                milvus(*found, rows)
    embedding()


if __name__ == "__main__":
    main()
