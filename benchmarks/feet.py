"""What `poise refine --feet` does to true motion, and to true motion whose feet slide.

Truth are the test takes of CMU in `poses/cmu_noise_3D`, persons with their own proportions: 17
joints, no toes, so that an ankle that rolls over a standing foot counts as one that slides. The
drawn slide is noise from 0.2 to 0.8 Hz along the floor, each foot for itself.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.catalog.tracks import Track
from poise.motion.motion import Motion
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.refining.feet.hold import held
from poise.refining.feet.legs import Leg, legs_of
from poise.refining.feet.stands import stands
from poise.runtime.settings import Settings

FPS, LOW_HZ, HIGH_HZ = 60.0, 0.2, 0.8
Floats = NDArray[np.float64]


def takes(data: Path) -> list[Floats]:
    """Return true poses (F, 17, 3) in metres, y up."""
    found = []
    for one in open_split(Settings.use(data=data).data, Track.parse("cmu/gaussian-10/3D"), "test"):
        if isinstance(one, PoseSequence) and one.truth_FC is not None and "daz" not in one.name:
            found.append(one.truth_FC.astype(np.float64).reshape(-1, 17, 3))
    return found


def sliding(truth: Floats, legs: list[Leg], metres: float, rng: np.random.Generator) -> Floats:
    """Let feet slide by so many metres, root mean square of each direction."""
    poses, hertz = truth.copy(), np.fft.rfftfreq(len(truth), 1 / FPS)
    for leg in legs:
        spectrum = np.fft.rfft(rng.normal(size=(len(truth), 2)), axis=0)
        spectrum[(hertz < LOW_HZ) | (hertz > HIGH_HZ)] = 0
        way = np.fft.irfft(spectrum, len(truth), axis=0)
        way *= metres / max(float(way.std()), 1e-9)
        for joint in leg.foot:
            poses[:, joint, [0, 2]] += way
    return poses


def main() -> None:
    """Print one line for each strength of the slide, means over frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    given = os.environ.get("POISE_DATA")
    parser.add_argument("--data", type=Path, default=given, help="default: $POISE_DATA")
    data = parser.parse_args().data
    joints = joint_sets()["h36m17"].joints
    print("slide drawn | slide of feet that stand, mm/s | their ankles' error, mm | all frames, mm")
    for metres in (0.0, 0.01, 0.02, 0.04):
        rng, rows = np.random.default_rng(0), []
        for truth in takes(data):
            motion = Motion(poses_FPJD=truth[:, None], joints=joints, fps=FPS, unit="m", up="+y")
            legs, times = legs_of(motion), motion.times_F
            poses = sliding(truth, legs, metres, rng)
            after, feet = held(poses, poses, legs, "+y", times)
            on = np.zeros((len(truth), 2), bool)
            for one in stands(truth, legs, "+y", times):
                on[one.frames, legs.index(one.leg)] = True
            ankles = [leg.foot[0] for leg in legs]
            off = [np.linalg.norm(p[:, ankles] - truth[:, ankles], axis=-1) for p in (poses, after)]
            rows.append([len(truth), *feet.slide, *(e[on].mean() for e in off),
                         *(e.mean() for e in off)])  # fmt: skip
        table = np.array(rows)
        mean = 1000 * np.average(table[:, 1:], axis=0, weights=table[:, 0])
        pairs = [f"{a:6.1f} -> {b:5.1f}" for a, b in mean.reshape(-1, 2)]
        print(f"{1000 * metres:8.0f} mm | {' | '.join(pairs)}")


if __name__ == "__main__":
    main()
