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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW
from poise.lake.parts import write_part
from poise.lake.schemas import sequence_table
from poise.pvd.build import PATIENCE_S, build
from poise.pvd.bulk import BulkFolder, build_in_bulk
from poise.pvd.vectors import window_vectors
from poise.readers.sequence import PoseSequence
from poise.runtime.cluster import connect
from poise_retrieval import PoseStore, StandaloneMilvus

TRACK = Track.parse("uiprmd/kinect/3D")
WIDTH, SUBJECTS, WINDOWS, PART = 84, 30, 1000, 100
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


def make(folder: Path, rows: int) -> list[str]:
    """Write sequences with as many windows; return the parts."""
    draw = np.random.default_rng(0)
    frames, channels = WINDOWS + WINDOW - 1, TRACK.info.joints * TRACK.info.dims
    bones = draw.normal(0, 0.3, channels)
    kernel = np.hanning(31)
    names = []
    for part in range(-(-rows // (WINDOWS * PART))):
        made = []
        for number in range(part * PART, min((part + 1) * PART, rows // WINDOWS)):
            steps = draw.normal(size=(frames, 12))
            latent = np.stack([np.convolve(steps[:, c], kernel, "same") for c in range(12)], 1)
            poses = bones + 0.02 * latent @ draw.normal(size=(12, channels))
            truth = poses.astype(np.float32)
            subject = f"S{number % SUBJECTS}"
            made.append(PoseSequence(str(number), subject, None, None, 30.0, truth, truth))
        ids = range(2 * part * PART, 2 * (part * PART + len(made)), 2)
        names.append(str(folder / write_part(str(folder), part, sequence_table(list(ids), made))))
    return names


def fill(uri: str, parts: list[str], rows: int, how: Callable[..., None], seal: bool) -> str:
    """Fill a collection; return the figures as the end of a row of the table."""
    watch = Watch()
    collection = f"bench_{time.monotonic_ns()}"
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
        how(
            window_vectors(parts, "truth", TRACK),
            uri,
            collection,
            width=WIDTH,
            rows=rows,
            patience_s=PATIENCE_S,
            progress=progress,
        )
    seconds = time.monotonic() - begin
    with contextlib.closing(PoseStore(uri)) as store:
        if collection in store.list():
            store.drop(collection)
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
    print("| rows | way | taken in, s | rows/s | our CPU s | its CPU s | searchable, s | rows/s "
          "| peak GiB | load |")  # fmt: skip
    print("|" + "---|" * 10)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(connect())
        uri, files = stack.enter_context(server(given, folder))
        # Ray's workers take seconds to start, which is the same whatever they then do.
        fill(uri, make(folder / "first", WINDOWS), WINDOWS, partial(build, writers=2), seal=False)
        for rows in given.rows:
            parts = make(folder / f"lake{rows}", rows)
            ways: dict[str, Callable[..., None]] = {
                "sent, 1 writer": partial(build, writers=1),
                "sent, 2 writers": partial(build, writers=2),
                "imported, 2 writers": partial(build_in_bulk, bulk=BulkFolder(files), writers=2),
            }
            for name, how in ways.items():
                figures = fill(uri, parts, rows, how, given.seal)
                print(f"| {rows:,} | {name} | {figures}", flush=True)


if __name__ == "__main__":
    main()
