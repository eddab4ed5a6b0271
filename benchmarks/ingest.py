"""Ingest at growing sizes: frames a second, peak memory of all processes, and a plain loop.

python -m benchmarks.ingest [--frames 100000 1000000 5900000] [--folder /tmp]

Makes input the size of AIST++ (14 joints, sequences of 811 frames on average, detections, truth and
image names in SmoothNet files), runs jobs/ingest.py on it as a user does, and samples the memory of
its whole process tree. The plain loop reads the same files with np.load, copies every window of 8
frames, and saves them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

JOB = Path(__file__).parents[1] / "jobs" / "ingest.py"
TRACK, JOINTS, WINDOW = "aist/spin/3D", 14, 8
GENRES = ("BR", "PO", "LO", "MH", "LH", "HO", "WA", "KR", "JS", "JB")
#: The loop holds all its input and writes 2.7 kB a frame: beyond this it is not run.
LOOP_FRAMES = 6_000_000
SAMPLE_S = 0.25


@dataclass(frozen=True)
class Run:
    """One ingest: wall time of the whole command, and the peak sums over its processes."""

    frames: int
    sequences: int
    seconds: float
    reading_s: float
    rss: int
    pss: int
    lake: int


def make(folder: Path, frames: int) -> tuple[int, int]:
    """Write the train split; return its sequences and frames."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(400, 1223, size=max(frames // 811, 1))
    truth = _motion(200_000, draw)
    error = draw.normal(0, 0.02, truth.shape).astype(np.float32)
    starts = draw.integers(0, len(truth) - 1300, size=len(lengths))
    names = [[f"{_name(n)}/{f:06d}.jpg" for f in range(size)] for n, size in enumerate(lengths)]
    for kind, who, source in (("detected", "spin", truth + error), ("groundtruth", "gt", truth)):
        poses = [source[at : at + size] for at, size in zip(starts, lengths, strict=True)]
        path = folder / "poses" / "aist_spin_3D" / kind / f"aist_{who}_3D_train.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, imgname=_objects(names), keypoints_3d=_objects(poses))
        # The loop's copy: the same without pickles, as no file that is read may run code.
        images = np.concatenate([np.array(some, "S") for some in names])
        np.savez(
            folder / f"{kind}.npz", lengths=lengths, poses=np.concatenate(poses), images=images
        )
    return len(lengths), int(lengths.sum())


def _motion(frames: int, draw: np.random.Generator) -> NDArray[np.float32]:
    steps = draw.normal(size=(frames, JOINTS * 3)).astype(np.float32)
    kernel = np.hanning(31).astype(np.float32)
    smooth = [np.convolve(steps[:, column], kernel, "same") for column in range(JOINTS * 3)]
    return np.ascontiguousarray(0.1 * np.stack(smooth, axis=1), dtype=np.float32)


def _name(number: int) -> str:
    rest, camera = divmod(number, 9)
    rest, genre = divmod(rest, 10)
    chapter, music = divmod(rest, 6)
    kind = GENRES[genre]
    dancer = 3 * genre + music % 3 + 1
    return f"g{kind}_sBM_c{camera + 1:02d}_d{dancer:02d}_m{kind}{music}_ch{chapter + 1:02d}"


def _objects(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def ingest(folder: Path, sequences: int, frames: int) -> Run:
    """Run the job on a fresh home and watch its processes."""
    command = [sys.executable, str(JOB), "--no-pvd", "--data", str(folder), "--track", TRACK]
    env = {**os.environ, "POISE_HOME": str(folder / "home"), "RAY_AUTH_MODE": "disabled"}
    begin = time.monotonic()
    rss = pss = 0
    with (folder / "log").open("w+") as log:
        with subprocess.Popen(command, env=env, stdout=log) as job:
            while job.poll() is None:
                now_rss, now_pss = _memory(job.pid)
                rss, pss = max(rss, now_rss), max(pss, now_pss)
                time.sleep(SAMPLE_S)
        seconds = time.monotonic() - begin
        log.seek(0)
        said = log.read()
    if job.returncode:
        sys.exit(f"the ingest failed:\n{said}")
    lake = sum(path.stat().st_size for path in (folder / "home" / "lake").rglob("*.parquet"))
    stage = next(line for line in said.splitlines() if "sequences  " in line)
    reading = float(stage.split(" in ")[1].split(" s ")[0])
    return Run(frames, sequences, seconds, reading, rss, pss, lake)


def _memory(pid: int) -> tuple[int, int]:
    rss = pss = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for process in processes:
        try:
            memory = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        rss, pss = rss + memory.rss, pss + memory.pss
    return rss, pss


def loop(folder: Path) -> None:
    """Do the same work one window at a time: read, cut by copying, save."""
    with np.load(folder / "detected.npz") as ours, np.load(folder / "groundtruth.npz") as theirs:
        cuts = np.cumsum(ours["lengths"])[:-1]
        columns = [np.split(a, cuts) for a in (ours["poses"], theirs["poses"], ours["images"])]
    rows: list[tuple[NDArray[Any], NDArray[Any], str]] = []
    part = 0
    for detected, truth, images in zip(*columns, strict=True):
        for start in range(len(detected) - WINDOW + 1):
            here = slice(start, start + WINDOW)
            rows.append((detected[here].copy(), truth[here].copy(), images[start]))
            if len(rows) == 50_000:
                part = _save(folder, part, rows)
    _save(folder, part, rows)


def _save(folder: Path, part: int, rows: list[tuple[NDArray[Any], NDArray[Any], str]]) -> int:
    detected, truth, images = zip(*rows, strict=True)
    np.savez(folder / f"loop-{part}.npz", detected=detected, truth=truth, image=images)
    rows.clear()
    return part + 1


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100_000, 1_000_000, 5_900_000])
    parser.add_argument("--folder", type=Path, help="where to put some 24 GB for 5.9 M frames")
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.loop:
        loop(given.loop)
        return
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} CPUs, load before: {load}\n")
    print(
        "| frames | sequences | seconds | M frames/min | reading, M frames/min | peak RSS GiB "
        "| peak PSS GiB | lake bytes/frame | plain loop s | loop/ingest |"
    )
    print("|" + "---|" * 10)
    runs = []
    for frames in given.frames:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            folder = Path(name)
            run = ingest(folder, *make(folder, frames))
            runs.append(run)
            print(_line(run, _loop_seconds(folder, run.frames)), flush=True)
    if len(runs) > 1:
        size, seconds = (np.array([getattr(run, k) for run in runs]) for k in ("frames", "seconds"))
        slope, start = np.polyfit(size, seconds, 1)
        worst = np.abs(start + slope * size - seconds).max()
        print(
            f"\nseconds = {start:.1f} + {1e6 * slope:.2f} per M frames, "
            f"no run more than {worst:.1f} s off"
        )


def _loop_seconds(folder: Path, frames: int) -> float | None:
    if frames > LOOP_FRAMES:
        return None
    begin = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.ingest", "--loop", str(folder)]
    subprocess.run(command, check=True, cwd=JOB.parents[1])
    return time.monotonic() - begin


def _line(run: Run, other: float | None) -> str:
    plain = "not run | " if other is None else f"{other:.1f} | {other / run.seconds:.2f}"
    return (
        f"| {run.frames:,} | {run.sequences:,} | {run.seconds:.1f} "
        f"| {60e-6 * run.frames / run.seconds:.2f} | {60e-6 * run.frames / run.reading_s:.2f} "
        f"| {run.rss / 2**30:.2f} | {run.pss / 2**30:.2f} | {run.lake / run.frames:.0f} | {plain} |"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
