#!/usr/bin/env python3
"""Make ``sample/``: a real estimator on real video, with a multi-view reference, from packages.

The videos and the calibration come from the ``pose2sim`` wheel (one person, four cameras), the
estimator is MediaPipe Pose, one camera at a time. The reference is the same network's 2D landmarks
of all four cameras, triangulated robustly and low-passed. No frame of video is kept.

    python tools/make_sample.py --venv /tmp/mediapipe-venv
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from poise.catalog.datasets import FILES_VARIABLE
from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.sequence import PoseSequence

ROOT = Path(__file__).resolve().parent.parent
ESTIMATOR = "mediapipe==0.10.21"
VIDEOS = "pose2sim==0.10.49"
DEMO = "Pose2Sim/Demo_SinglePerson"
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
TRACK = "pose2sim/mediapipe/3D"
FPS = 60.0
#: Low-pass of the reference; people walk below 6 Hz.
CUTOFF_HZ, ORDER = 6.0, 4
#: Reprojection error at which a camera's word counts half, px.
DOUBT_PX = 20.0

#: h36m17 as means of MediaPipe's landmarks. It has no top of the head: the ears stand for it.
JOINTS: tuple[tuple[int, ...], ...] = (
    (23, 24), (24,), (26,), (28,), (23,), (25,), (27,),  # hip, right leg, left leg
    (11, 12, 23, 24), (11, 12), (0,), (7, 8),            # spine, thorax, nose, head
    (11,), (13,), (15,), (12,), (14,), (16,),            # left arm, right arm
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A calibrated camera: x = K distort(R (X - C)), metres and pixels, z away from the camera."""

    rotation_33: Floats
    centre_3: Floats
    intrinsics_33: Floats
    distortion_4: Floats

    @property
    def projection_34(self) -> Floats:
        """World to normalised image coordinates, homogeneous."""
        shift_31 = -(self.rotation_33 @ self.centre_3)[:, None]
        return np.hstack([self.rotation_33, shift_31])

    def normalised(self, pixels_FJ2: Floats) -> Floats:
        """Pixels to undistorted normalised image coordinates."""
        focal_2 = self.intrinsics_33[[0, 1], [0, 1]]
        bent_FJ2 = (pixels_FJ2 - self.intrinsics_33[:2, 2]) / focal_2
        straight_FJ2 = bent_FJ2
        # Distortion has no inverse in closed form; at these angles a few fixed-point steps do.
        for _ in range(20):
            straight_FJ2 = straight_FJ2 + bent_FJ2 - self._distorted(straight_FJ2)
        return straight_FJ2

    def _distorted(self, plane_FJ2: Floats) -> Floats:
        k1, k2, p1, p2 = self.distortion_4
        x, y = plane_FJ2[..., 0], plane_FJ2[..., 1]
        square = x * x + y * y
        radial = 1 + k1 * square + k2 * square**2
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
                y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=-1,
        )


def read_calibration(file: Path) -> list[Camera]:
    """Read a Qualisys calibration: 1/64 px, mm, axes that look along -z with y up."""
    found = []
    # The file is the wheel's own, not a stranger's.
    for node in ET.parse(file).getroot().iter("camera"):  # noqa: S314
        place, lens = _numbers(node, "transform"), _numbers(node, "intrinsic")
        axes_33 = np.array(
            [[place[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)]
        )
        focal = lens["focalLengthU"], lens["focalLengthV"]
        centre = lens["centerPointU"], lens["centerPointV"]
        found.append(
            Camera(
                rotation_33=np.diag([1.0, -1.0, -1.0]) @ axes_33,
                centre_3=np.array([place[axis] for axis in "xyz"]) / 1000,
                intrinsics_33=np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]],
                                        [0, 0, 64.0]]) / 64,
                distortion_4=np.array([lens[key] for key in (
                    "radialDistortion1", "radialDistortion2",
                    "tangentalDistortion1", "tangentalDistortion2")]),
            )
        )  # fmt: skip
    return found


def triangulate(cameras: Sequence[Camera], pixels: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Find the points that all cameras see, weighing down cameras that disagree.

    Args:
        cameras: V of them.
        pixels: of each camera (F, P, 3) pixels and visibility.

    Returns:
        (F, P, 3) metres, and (V, F, P) reprojection errors in px.
    """
    plane_VFP2 = np.stack(
        [camera.normalised(seen[..., :2]) for camera, seen in zip(cameras, pixels, strict=True)]
    )
    sure_VFP = np.stack([seen[..., 2] for seen in pixels])
    projection_V34 = np.stack([camera.projection_34 for camera in cameras])
    rows_VFP24 = (
        plane_VFP2[..., None] * projection_V34[:, None, None, 2:3]
        - projection_V34[:, None, None, :2]
    )
    focal_V11 = np.array([camera.intrinsics_33[0, 0] for camera in cameras])[:, None, None]
    weight_VFP = sure_VFP
    for _ in range(20):
        system_FPE4 = np.moveaxis(rows_VFP24 * weight_VFP[..., None, None], 0, 2)
        system_FPE4 = system_FPE4.reshape(*system_FPE4.shape[:2], -1, 4)
        point_FP4 = np.linalg.svd(system_FPE4)[2][..., -1, :]
        point_FP4 = point_FP4 / point_FP4[..., 3:]
        seen_VFP3 = np.einsum("vij,fpj->vfpi", projection_V34, point_FP4)
        miss_VFP2 = seen_VFP3[..., :2] / seen_VFP3[..., 2:] - plane_VFP2
        error_VFP = np.linalg.norm(miss_VFP2, axis=-1) * focal_V11
        # Dividing by depth turns the algebraic error into an image error.
        weight_VFP = sure_VFP / (1 + (error_VFP / DOUBT_PX) ** 2) / seen_VFP3[..., 2]
    return point_FP4[..., :3], error_VFP


def make(demo: Path, work: Path, python: Path) -> list[PoseSequence]:
    """Run the estimator on every camera and put its poses beside the reference.

    Both are in the camera's axes (x right, y down, z away), metres, hip at zero.
    """
    cameras = read_calibration(demo / "calibration" / "Calib.qca.txt")
    found = [_landmarks(demo / "videos" / f"{name}.mp4", work, python) for name in CAMERAS]
    points_FP3, error_VFP = triangulate(cameras, [pixels for pixels, _ in found])
    print(f"reprojection error of the reference: median {np.median(error_VFP):.1f} px")
    low_pass = butter(ORDER, CUTOFF_HZ, fs=FPS, output="sos")
    truth_FJ3 = sosfiltfilt(low_pass, _joints(points_FP3), axis=0)
    return [
        PoseSequence(
            name=f"P1/demo/{name}",
            subject="P1",
            camera=name,
            action=None,
            fps=FPS,
            detected_FC=_relative(_joints(metres_FP3)),
            truth_FC=_relative(truth_FJ3 @ camera.rotation_33.T),
        )
        for name, camera, (_, metres_FP3) in zip(CAMERAS, cameras, found, strict=True)
    ]


def main(arguments: Sequence[str]) -> int:
    """Fetch the packages, run the estimator, write the sample."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", type=Path, required=True, help=f"environment for {ESTIMATOR}")
    parser.add_argument("--out", type=Path, default=ROOT / "sample")
    options = parser.parse_args(arguments)
    os.environ[FILES_VARIABLE] = str(ROOT / "sample" / "pose2sim.toml")
    python = _environment(options.venv)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _run(python, "-m", "pip", "download", "-q", "--no-deps", "-d", work, VIDEOS)
        with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
            wheel.extractall(work)
        sequences = make(work / DEMO, work, python)
        written = write_smoothnet(options.out, Track.parse(TRACK), "test", sequences)
        licence = next(work.glob("pose2sim-*.dist-info/licenses/LICENSE"))
        (options.out / "LICENSE.pose2sim").write_bytes(licence.read_bytes())
    for file in written:
        print(f"{file}: {file.stat().st_size:,} bytes")
    return 0


def _environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    _run(python, "-m", "pip", "install", "-q", ESTIMATOR)
    return python.absolute()


def _landmarks(video: Path, work: Path, python: Path) -> tuple[Floats, Floats]:
    target = work / f"{video.stem}.npz"
    _run(python, ROOT / "tools" / "mediapipe_landmarks.py", video, target)
    with np.load(target, allow_pickle=False) as found:
        pixels_FP3, metres_FP3 = found["pixels"], found["metres"]
    missing = int(np.isnan(pixels_FP3).any(axis=(1, 2)).sum())
    if missing:
        raise SystemExit(f"{video}: nobody found in {missing} of {len(pixels_FP3)} frames")
    return pixels_FP3, metres_FP3


def _joints(points_FP3: Floats) -> Floats:
    return np.stack([points_FP3[:, list(parts)].mean(axis=1) for parts in JOINTS], axis=1)


def _relative(joints_FJ3: Floats) -> NDArray[np.float32]:
    centred = joints_FJ3 - joints_FJ3[:, :1]
    return centred.reshape(len(centred), -1).astype(np.float32)


def _numbers(node: ET.Element, tag: str) -> dict[str, float]:
    child = node.find(tag)
    if child is None:
        raise SystemExit(f"the calibration has a camera without {tag}")
    return {key: float(value) for key, value in child.attrib.items()}


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
