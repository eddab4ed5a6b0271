"""Parquet to a searchable PVD in a full-size Milvus: rows that are sent, and files it imports.

python -m benchmarks.pvdingest [--rows 200000 1000000] [--uri URI --bulk FOLDER] [--no-seal]

Writes a lake of made-up motion (17 joints, sequences of 1,007 frames, 30 subjects), then fills a
collection from it as `poise pvd rebuild` does: read, embed, write, seal. Rows a second are up to
when Milvus has taken in the last row, and up to when it can be searched; the server builds its
index in between. CPU seconds, which hold on a busy machine too, are up to the last row, those of
Poise and Ray and those of a server that was started here; memory is the peak of all of them,
shared pages counted once (PSS).
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW
from poise.lake.parts import write_part
from poise.lake.schemas import sequence_schema, sequence_table
from poise.lake.split_index import RowGroup, SplitIndex
from poise.pvd.build import build
from poise.pvd.bulk import build_in_bulk
from poise.pvd.options import BulkFolder, Collection, FillOptions
from poise.pvd.vectors import write_vectors
from poise.readers.sequence import PoseSequence
from poise.runtime.ray_cluster.join import connect
from poise_retrieval.milvus.standalone import StandaloneMilvus
from poise_retrieval.milvus.store import PoseStore

TRACK = Track.parse("uiprmd/kinect/3D")
WIDTH, SUBJECTS, WINDOWS, PART, GROUP = 84, 30, 1000, 100, 16
#: Looking at the memory of twenty processes takes a part of a second itself.
SAMPLE_S = 3.0


class Enough(Exception):  # noqa: N818
    """All rows are in, and no more was asked for."""


@dataclass
class Watch:
    """When the last row was in, the CPU seconds until then, and the most memory there was."""

    taken_in: float = 0.0
    ours: float = 0.0
    server: float = 0.0
    memory: int = 0


def make(folder: Path, rows: int) -> SplitIndex:
    """Write sequences with as many windows; return their index."""
    draw = np.random.default_rng(0)
    frames, channels = WINDOWS + WINDOW - 1, TRACK.info.joints * TRACK.info.dims
    bones = draw.normal(0, 0.3, channels)
    kernel = np.hanning(31)
    tables: list[pa.Table] = []
    groups: list[RowGroup] = []
    for part in range(-(-rows // (WINDOWS * PART))):
        made = []
        for number in range(part * PART, min((part + 1) * PART, rows // WINDOWS)):
            steps = draw.normal(size=(frames, 12))
            latent = np.stack([np.convolve(steps[:, c], kernel, "same") for c in range(12)], 1)
            poses = bones + 0.02 * latent @ draw.normal(size=(12, channels))
            truth = poses.astype(np.float32)
            subject = f"S{number % SUBJECTS}"
            made.append(PoseSequence(str(number), subject, None, None, 30.0, truth, truth))
        first = part * PART
        some = [
            sequence_table(
                [2 * (first + at + i) for i in range(len(made[at : at + GROUP]))],
                made[at : at + GROUP],
            )
            for at in range(0, len(made), GROUP)
        ]
        path = str(folder / write_part(str(folder), part, sequence_schema(channels), some))
        for number, table in enumerate(some):
            begin = first + number * GROUP
            groups.append(RowGroup(path, number, slice(begin, begin + table.num_rows)))
        tables += some
    return SplitIndex.of_rows(
        TRACK, "train", tables, width=channels, truth=True, groups=tuple(groups)
    )


def fill(uri: str, index: SplitIndex, options: FillOptions, seal: bool) -> str:
    """Fill a collection; return the figures as the end of a row of the table."""
    watch = Watch()
    rows = index.windows
    lake = Path(index.groups[0].path).parents[1] / "vectors"
    written = write_vectors(index, str(lake))
    collection = Collection(uri, f"bench_{time.monotonic_ns()}", WIDTH, rows)
    before = cpu_seconds()
    begin = time.monotonic()

    def progress(done: int) -> None:
        if done == rows and not watch.taken_in:
            watch.taken_in = time.monotonic() - begin
            now = cpu_seconds()
            watch.ours, watch.server = (b - a for a, b in zip(before, now, strict=True))
            if not seal:
                raise Enough

    load = os.getloadavg()[0]
    with watched(watch), contextlib.suppress(Enough):
        if options.bulk is None:
            build(written, collection, options, progress)
        else:
            build_in_bulk(written, collection, options.bulk, options, progress)
    seconds = time.monotonic() - begin
    with contextlib.closing(PoseStore(uri)) as store:
        if collection.name in store.list():
            store.drop(collection.name)
    searchable = f"{seconds:.1f} | {rows / seconds:,.0f}" if seal else "not asked for | "
    return (
        f"{watch.taken_in:.1f} | {rows / watch.taken_in:,.0f} "
        f"| {watch.ours:.1f} | {watch.server:.1f} | {searchable} | {watch.memory / 2**30:.2f} "
        f"| {load:.1f}, {os.getloadavg()[0]:.1f} |"
    )


def cpu_seconds() -> tuple[float, float]:
    """Return the CPU seconds of this process and all it started, and of a Milvus among them."""
    ours = server = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            if process.name() == "milvus":
                server += times.user + times.system
            else:
                ours += times.user + times.system
    return ours, server


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Sample the memory of this process and its children inside the block."""
    stop = threading.Event()

    def sample() -> None:
        this = psutil.Process()
        while not stop.wait(SAMPLE_S):
            now = 0
            for process in [this, *this.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    now += process.memory_full_info().pss
            watch.memory = max(watch.memory, now)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def server(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """Start or name a Milvus; say which folder it can read."""
    if given.uri:
        yield given.uri, given.bulk
    else:
        with StandaloneMilvus(folder / "milvus") as standalone:
            yield standalone.uri, str(folder / "files")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    add("--uri", help="a Milvus (default: a standalone one, started here)")
    add("--bulk", help="a folder or s3:// prefix which that Milvus can read")
    add("--no-seal", dest="seal", action="store_false", help="stop when Milvus has the rows")
    given = parser.parse_args()
    print(f"{os.cpu_count()} CPUs\n")
    print(
        "| rows | way | taken in, s | rows/s | our CPU s | its CPU s | searchable, s | rows/s "
        "| peak GiB | load |"
    )
    print("|" + "---|" * 10)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(connect())
        uri, files = stack.enter_context(server(given, folder))
        # Ray's workers take seconds to start, which is the same whatever they then do.
        fill(uri, make(folder / "first", WINDOWS), FillOptions(2), seal=False)
        for rows in given.rows:
            index = make(folder / f"lake{rows}", rows)
            ways = {
                "sent, 1 writer": FillOptions(1),
                "sent, 2 writers": FillOptions(2),
                "imported, 2 writers": FillOptions(2, BulkFolder(files)),
            }
            for name, options in ways.items():
                figures = fill(uri, index, options, given.seal)
                print(f"| {rows:,} | {name} | {figures}", flush=True)


if __name__ == "__main__":
    main()
