"""Raw files to neighbour tables: seconds of every stage, whose CPU time it is, and memory.

python -m benchmarks.scaling [--frames 1000000] [--cores 1 2] [--milvus] [--root CHECKOUT]

Makes input like `benchmarks.ingest` (14 joints, sequences of 811 frames on average, 30 dancers who
move in 12 dimensions), and brings it from raw files to windows with neighbours: with --milvus by
jobs/ingest.py of a checkout, into a standalone server which is not counted; without, by the same
steps but for Milvus. --cores are those that everything runs on, a Ray worker each. Seconds of a
stage are wall time; CPU seconds are of the driver and of all other processes (workers, Ray).
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from benchmarks.ingest import _name, _objects

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.ingest.draft import draft
from poise.ingest.sources import RawTrack
from poise.lake.split_index import SplitIndex
from poise.pvd.neighbour_search import search_windows
from poise.pvd.node_index import Shard
from poise.pvd.progress import counting
from poise.pvd.vectors import write_vectors
from poise.runtime.ray_cluster.join import connect
from poise_retrieval.milvus.standalone import StandaloneMilvus

ROOT = Path(__file__).parents[1]
TRACK = Track.parse("aist/spin/3D")
JOINTS, LATENT, SAMPLE_S = 14, 12, 0.5


@dataclass
class Watch:
    """What was seen of a run: lines with their time, CPU seconds, the driver's memory by time."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    cpu: dict[int, float] = field(default_factory=dict)
    driver_mib: list[float] = field(default_factory=list)


def make(folder: Path, frames: int) -> None:
    """Write the two splits, a tenth of the frames for the test."""
    draw = np.random.default_rng(0)
    kernel = np.hanning(31)
    bones = draw.normal(0, 0.3, (60, JOINTS * 3))
    ways = draw.normal(size=(LATENT, JOINTS * 3))
    for split, count in (("train", frames), ("test", frames // 10)):
        lengths = draw.integers(400, 1223, size=max(count // 811, 1))
        names, ours, theirs = [], [], []
        for number, size in enumerate(lengths.tolist()):
            number += 100_000 * (split == "test")
            steps = draw.normal(size=(size, LATENT))
            latent = np.stack([np.convolve(steps[:, c], kernel, "same") for c in range(LATENT)], 1)
            name = _name(number)
            who = int(name.split("_d")[1][:2]) - 1
            truth = (bones[who] + 0.02 * latent @ ways).astype(np.float32)
            names.append([f"{name}/{frame:06d}.jpg" for frame in range(size)])
            theirs.append(truth)
            ours.append(truth + draw.normal(0, 0.02, truth.shape).astype(np.float32))
        for kind, who_made, poses in (("detected", "spin", ours), ("groundtruth", "gt", theirs)):
            path = folder / "poses" / "aist_spin_3D" / kind / f"aist_{who_made}_3D_{split}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, imgname=_objects(names), keypoints_3d=_objects(poses))


def run(folder: Path, cores: int, uri: str | None, root: Path) -> Watch:
    """Bring the track into a fresh home, and watch the processes."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        roots = os.pathsep.join(str(root / name) for name in ("platform", "models", "retrieval"))
        env = {**os.environ, "POISE_HOME": home, "PYTHONPATH": f"{roots}{os.pathsep}{root}"}
        env |= {"RAY_AUTH_MODE": "disabled", "POISE_CACHE": f"{home}/cache"}
        if uri is None:
            command = [sys.executable, "-m", "benchmarks.scaling", "--child", str(folder)]
        else:
            command = [sys.executable, str(root / "jobs" / "ingest.py"), "--data", str(folder)]
            command += ["--track", str(TRACK), "--milvus-uri", uri]
        taskset = ["taskset", "-c", ",".join(map(str, range(cores)))]
        watch, began = Watch(), time.monotonic()
        log = Path(home) / "log"
        with log.open("w") as out, log.open() as said:
            with subprocess.Popen([*taskset, *command], env=env, stdout=out, cwd=root) as job:
                while job.poll() is None:
                    time.sleep(SAMPLE_S)
                    _look(job.pid, watch)
                    now = time.monotonic() - began
                    for line in said:
                        watch.lines.append((now, line.rstrip()))
                        print(f"    {now:6.1f} s  {line.rstrip()}", flush=True)
            watch.lines.append((time.monotonic() - began, "done"))
        if job.returncode:
            sys.exit(f"it failed:\n{log.read_text()}")
    return watch


def _look(pid: int, watch: Watch) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        driver = psutil.Process(pid)
        watch.driver_mib.append(driver.memory_info().rss / 2**20)
        for process in [driver, *driver.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                key = 0 if process.pid == pid else process.pid
                watch.cpu[key] = times.user + times.system


def bring(folder: Path, home: str) -> None:
    """Do what an ingest does, but for Milvus."""
    lake, clock = f"{home}/lake", time.monotonic()

    def say(line: str) -> None:
        print(line, flush=True)

    with connect():
        print(f"started {time.monotonic() - clock:.1f}", flush=True)
        manifest = draft(RawTrack.find(folder, TRACK), lake, say)
        splits = {split: SplitIndex.read(lake, manifest, split) for split in SPLITS}
        train = splits["train"]
        receipts = write_vectors(train, lake).take_all()
        say("  PVD  vectors only")
        paths = sorted(receipt["path"] for receipt in receipts)
        shards = Shard.all(train, paths, 84, "subject")
        total = sum(index.windows for index in splits.values()) * len(shards)
        _, recall = search_windows(lake, splits, shards, counting("neighbours", total, say))
        say(f"  neighbours  recall {recall:.4f}")


def main() -> None:
    """Print a table row for every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--frames", type=int, nargs="+", default=[1_000_000])
    add("--cores", type=int, nargs="+", default=[1, 2])
    add("--milvus", action="store_true", help="by jobs/ingest.py into a standalone server")
    add("--root", type=Path, default=ROOT, help="the checkout whose job runs")
    add("--folder", type=Path, help="where to put some 1.5 kB a frame")
    add("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        bring(given.child, os.environ["POISE_HOME"])
        return
    rows = []
    with tempfile.TemporaryDirectory(dir=given.folder) as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        uri = None
        if given.milvus:
            uri = stack.enter_context(StandaloneMilvus(folder / "milvus")).uri
        for frames in given.frames:
            make(folder / str(frames), frames)
            for cores in given.cores:
                load = os.getloadavg()[0]
                watch = run(folder / str(frames), cores, uri, given.root)
                rows.append(f"| {frames:,} | {cores} | {_figures(watch)} | {load:.1f} |")
    print(
        "\n| frames | cores | reading, s | vectors, PVD, s | index, neighbours, s | whole, s "
        "| driver CPU s | other CPU s | driver's share | its MiB at half time, most | load |"
    )
    print("|" + "---|" * 11)
    print("\n".join(rows))


def _figures(watch: Watch) -> str:
    ends = {}
    for mark in ("reading", "  sequences", "  PVD  ", "  neighbours  ", "  test  ", "done"):
        found = [when for when, line in watch.lines if mark in line]
        if found:
            ends[mark.strip()] = found[-1] if mark != "reading" else found[0]
    last = ends.get("neighbours", ends.get("test", 0.0))
    read = ends["sequences"] - ends["reading"]
    driver, others = watch.cpu[0], sum(cpu for pid, cpu in watch.cpu.items() if pid)
    middle = watch.driver_mib[len(watch.driver_mib) // 2]
    return (
        f"{read:.1f} | {ends['PVD'] - ends['sequences']:.1f} | {last - ends['PVD']:.1f} "
        f"| {ends['done']:.1f} | {driver:.1f} | {others:.1f} "
        f"| {driver / (driver + others):.1%} | {middle:.0f}, {max(watch.driver_mib):.0f}"
    )


if __name__ == "__main__":
    main()
