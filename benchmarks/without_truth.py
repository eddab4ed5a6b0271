"""What refiners leave of real files, most of which have no reference: a table for docs/results.md.

python -m benchmarks.without_truth [--data $POISE_DATA] [--sequences 12] [--files ...]

Jitter is the root mean square of what is faster than 6 Hz, in mm or px; bones, the standard
deviation of their lengths in % of them (3D); slide, the mean speed along the floor of feet that
stand in what Butterworth makes of the file, in mm/s (3D, positions in a room); range, what is left
of joints' ranges of motion. PA-MPJPE is against the reference that the sample and UI-PRMD have.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import poise
from poise.catalog.tracks import Track
from poise.motion.motion import Motion
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.refining.feet.legs import legs_of
from poise.refining.feet.stands import slide, stands
from poise.refining.options import Options
from poise.refining.refine import refine
from poise.refining.reporting.compare import compare
from poise.refining.reporting.report import report_of, told_in_mm
from poise.runtime.errors import SettingsError

SAMPLE = Path(__file__).parents[1] / "sample"
REFINERS = {"poise:general": "poise:general", "butterworth": "Butterworth, 6 Hz",
            "oneeuro": "One-Euro, 6 Hz", "savgol": "Savitzky-Golay, 6 Hz"}  # fmt: skip
FILES = (
    "alphapose_halpe26.json", "kinect_v2_joints.csv", "pose2sim_markers.trc",
    "tennis_two_players.c3d", "deeplabcut_reaching_2d.h5", "lightningpose_mouse_paws.csv",
)  # fmt: skip
Pair = tuple[Motion, Motion | None]


def from_track(data: Path, track: Track, most: int) -> Iterator[Pair]:
    """Yield detected and true motion of some sequences of a track's test split."""
    info = track.info
    found = [one for one in open_split(data, track, "test")
             if isinstance(one, PoseSequence)]  # fmt: skip
    for one in found[:: max(len(found) // most, 1)][:most]:
        both = [
            Motion(poses_FPJD=poses_FC.reshape(-1, 1, info.joints, 3), joints=info.joint_names,
                   skeleton="h36m17", fps=info.fps, unit="m")
            for poses_FC in (one.detected_FC, one.truth_FC) if poses_FC is not None
        ]  # fmt: skip
        yield both[0], both[1]


def rows(pairs: list[Pair]) -> Iterator[str]:
    """Yield a row of Markdown for what came and for each refiner."""
    made: dict[str, list[list[float]]] = {}
    for motion, reference in pairs:
        smooth = refine(motion, Options(refiner="butterworth")).after
        before = [np.nan, np.nan, _slide(motion, smooth), 100.0, _error(motion, reference)]
        for refiner in REFINERS:
            options = Options(refiner=refiner)
            refining = refine(motion, options)
            after = refining.after
            for person in told_in_mm(report_of(refining, options)).people:
                if not person.is_alone:
                    before[:2] = [_plain(person.jitter[0]), _plain(person.bone_spread[0])]
                    made.setdefault(REFINERS[refiner], []).append([
                        _plain(person.jitter[1]), _plain(person.bone_spread[1]),
                        _slide(after, smooth), _plain(person.range_kept), _error(after, reference),
                    ])  # fmt: skip
                    if refiner == "butterworth":
                        made.setdefault("input", []).append(list(before))
    for name in ("input", *REFINERS.values()):
        table = np.array(made[name])
        known = ~np.isnan(table)
        mean = np.where(known, table, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        yield f"{name} | " + " | ".join("–" if np.isnan(x) else f"{x:.3g}" for x in mean)


def _plain(value: float | None) -> float:
    return np.nan if value is None else value


def _slide(motion: Motion, smooth: Motion) -> float:
    """Mean slide in mm/s of people whose feet stand; NaN where there is no floor."""
    try:
        legs = legs_of(motion)
    except SettingsError:
        return np.nan
    scale = {"m": 1000.0, "cm": 10.0}.get(motion.unit or "", 1.0)
    found = []
    for at in range(len(smooth.people)):
        stood = stands(smooth.poses_FPJD[:, at].astype(float), legs, str(motion.up), motion.times_F)
        poses_FJD = motion.poses_FPJD[:, at].astype(float)
        found.append(scale * slide(poses_FJD, stood, str(motion.up), motion.times_F))
    return float(np.nanmean(found)) if not np.isnan(found).all() else np.nan


def _error(motion: Motion, reference: Motion | None) -> float:
    if reference is None:
        return np.nan
    return compare(motion, reference)[0].figures["pa_mpjpe"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = os.environ.get("POISE_DATA")
    parser.add_argument("--data", type=Path, default=given, help="default: $POISE_DATA")
    parser.add_argument("--sequences", type=int, default=12, help="of UI-PRMD's test split")
    parser.add_argument("--files", nargs="*", default=list(FILES))
    chosen = parser.parse_args()
    print("| file | | jitter | bones % | slide mm/s | range % | PA-MPJPE mm |")
    print("|---|---|---:|---:|---:|---:|---:|")
    os.environ["POISE_DATASETS"] = str(SAMPLE / "pose2sim.toml")
    sources = {"sample: MediaPipe, 4 cameras": list(
        from_track(SAMPLE, Track.parse("pose2sim/mediapipe/3D"), 4))}  # fmt: skip
    if chosen.data is not None:
        measured = from_track(chosen.data, Track.parse("uiprmd/kinect/3D"),
                              chosen.sequences)  # fmt: skip
        sources["UI-PRMD: Kinect"] = list(measured)
        for name in chosen.files:
            sources[f"`{name}`"] = [(poise.read(chosen.data / "keypoint_files" / name), None)]
    for name, pairs in sources.items():
        for row in rows(pairs):
            print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
