"""An hour of one person through `poise refine`: how long it takes, and how much memory.

108,000 frames at 30 a second of 22 joints in metres, a person who walks about and now and then
loses a joint, as TRC and as COCO results (JSON). The command is that of users, start and report
included. Who is 100 times faster than the recording takes 36 s. Seconds of the processor are told
beside those of the clock: on a busy machine only they compare.

python -m benchmarks.hour [--frames 108000] [--refiner butterworth ...] [--format trc json]
    [--pose2sim PYTHON]

--pose2sim names the Python of an environment that has Pose2Sim, whose filter stage (Butterworth,
order 4, 6 Hz, no plots, no C3D) then runs on the same TRC.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.motion import Motion

FPS = 30.0
JOINTS = tuple(
    name for name in joint_sets()["halpe26"].joints if "eye" not in name and "ear" not in name
)
ROOT = Path(__file__).parents[1]
POSE2SIM = """
import shutil, sys, tempfile
from pathlib import Path
from Pose2Sim.filtering import filter_all
with tempfile.TemporaryDirectory() as project:
    (Path(project) / "pose-3d").mkdir()
    shutil.copy(sys.argv[1], Path(project) / "pose-3d" / "hour_0-0.trc")
    filtering = {"type": "butterworth", "butterworth": {"order": 4, "cut_off_frequency": 6},
                 "display_figures": False, "save_filt_plots": False, "make_c3d": False}
    filter_all({"project": {"project_dir": project, "frame_range": "auto"}, "filtering": filtering})
    assert list(Path(project).glob("pose-3d/*filt*.trc"))
"""


@dataclass(frozen=True)
class Run:
    """What a command took."""

    seconds: float
    processor: float
    peak_mib: float


def walk(frames: int) -> NDArray[np.float64]:
    """Return poses (F, J, 3) in metres, y up: a person in a circle, jittered by 5 mm, with gaps."""
    rng = np.random.default_rng(0)
    times = np.arange(frames) / FPS
    standing = rng.uniform(-0.3, 0.3, (len(JOINTS), 3)) + np.array([0, 1.0, 0])
    swing = rng.uniform(0, 0.2, (len(JOINTS), 3))
    phase = rng.uniform(0, 2 * np.pi, len(JOINTS))
    poses: NDArray[np.float64] = (
        standing + swing * np.sin(2 * np.pi * times[:, None] + phase)[..., None]
    )
    poses[..., 0] += 2 * np.cos(times / 10)[:, None]
    poses[..., 2] += 2 * np.sin(times / 10)[:, None]
    poses += rng.normal(0, 0.005, poses.shape)
    for joint in range(len(JOINTS)):
        for first in rng.integers(0, max(frames - 20, 1), frames // 3000):
            poses[first : first + rng.integers(1, 12), joint] = np.nan
    return poses


def write(folder: Path, frames: int, ending: str) -> Path:
    """Write the recording, in the image's pixels where the format knows no space."""
    file, poses = folder / f"hour.{ending}", walk(frames)
    if ending == "trc":
        motion = Motion(poses_FPJD=poses[:, None], joints=JOINTS, fps=FPS, unit="m", up="+y")
    else:
        flat = poses[:, None, :, :2] * [200, -200] + [960, 800]
        sure = np.where(np.isnan(flat).any(-1), 0.0, 0.9)
        motion = Motion(poses_FPJD=flat, joints=JOINTS, unit="px", up="-y", confidence_FPJ=sure)
    motion.write(file)
    return file


def timed(command: list[str]) -> Run:
    """Run a command to its end; raise where it fails."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / one) for one in
           ("platform", "models", "retrieval"))}  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        told = process.stderr.read().decode() if process.stderr else ""
        raise SystemExit(f"{' '.join(command)}: {told}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    """Print a line for each format and refiner."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--frames", type=int, default=108_000)
    add("--refiner", nargs="+", default=["butterworth", "oneeuro", "poise:general"])
    add("--format", nargs="+", default=["trc", "json"], choices=["trc", "json"])
    add("--pose2sim", metavar="PYTHON", help="of an environment with Pose2Sim")
    given = parser.parse_args()
    recorded = given.frames / FPS
    print(f"{given.frames:,} frames, {recorded:,.0f} s, load {os.getloadavg()[0]:.1f}")
    print("file, refiner | s | s of processor | times faster than recorded | frames/s | peak MiB")
    with tempfile.TemporaryDirectory() as name:
        for ending in given.format:
            file = write(Path(name), given.frames, ending)
            print(f"{file.name}: {file.stat().st_size / 2**20:.1f} MiB")
            for refiner in given.refiner:
                command = [sys.executable, "-m", "poise", "refine", str(file), "--overwrite",
                           "--fps", str(FPS), "--refiner", refiner]  # fmt: skip
                show(ending, refiner, timed(command), given.frames)
            if given.pose2sim and ending == "trc":
                run = timed([given.pose2sim, "-c", POSE2SIM, str(file)])
                show(ending, "Pose2Sim butterworth", run, given.frames)


def show(ending: str, refiner: str, run: Run, frames: int) -> None:
    """Print what a run took."""
    recorded = frames / FPS
    print(
        f"{ending}, {refiner} | {run.seconds:.1f} | {run.processor:.1f} | "
        f"{recorded / run.seconds:.0f} (of processor {recorded / run.processor:.0f}) | "
        f"{frames / run.seconds:,.0f} | {run.peak_mib:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
