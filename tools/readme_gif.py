"""Makes docs/images/before_after.gif, with which the README opens, from the bundled sample.

python tools/readme_gif.py [--camera 2] [--output docs/images/before_after.gif]

What MediaPipe saw with one camera beside what `poise refine` makes of it, at half speed, turned by
a quarter or so, because depth is what one camera sees worst.
"""

import argparse
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import poise
from poise.catalog.joint_sets import joint_sets
from poise.catalog.tracks import Track
from poise.motion.motion import Motion
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.runtime.plotting import BLUE, FAINT, GHOST, INK, ORANGE

SAMPLE = Path(__file__).parents[1] / "sample"
WIDE, HIGH, FINE = 640, 400, 3
#: Pixels a metre; degrees that the camera goes around; every so many frames are shown.
SCALE, TURNED, EVERY = 150.0, 55.0, 2
#: Milliseconds a picture.
SHOWN = 67
TRAIL = 8
Floats = NDArray[np.float64]
Point = tuple[float, float]


def poses(camera: int) -> tuple[Floats, Floats]:
    """Return what the camera saw, and that refined, (F, J, 3) in metres."""
    os.environ["POISE_DATASETS"] = str(SAMPLE / "pose2sim.toml")
    found = [one for one in open_split(SAMPLE, Track.parse("pose2sim/mediapipe/3D"), "test")
             if isinstance(one, PoseSequence)]  # fmt: skip
    seen_FJD = found[camera].detected_FC.reshape(-1, 1, 17, 3).astype(np.float64)
    joints = joint_sets()["h36m17"].joints
    motion = Motion(poses_FPJD=seen_FJD, joints=joints, skeleton="h36m17", fps=60.0, unit="m")
    return seen_FJD[:, 0], poise.refine(motion).poses_FPJD[:, 0].astype(np.float64)


def flat(poses_FJD: Floats, middle: float) -> Floats:
    """Return places in the picture, (F, J, 2), seen from the side."""
    turn = np.radians(TURNED)
    across = poses_FJD[..., 0] * np.cos(turn) + poses_FJD[..., 2] * np.sin(turn)
    places: Floats = np.stack([middle + SCALE * across, 200 + SCALE * poses_FJD[..., 1]], -1) * FINE
    return places


def draw(pen: ImageDraw.ImageDraw, places_FJ2: Floats, frame: int, colour: str) -> None:
    """Draw a body, and where its wrists and ankles have just been."""
    skeleton = joint_sets()["h36m17"]
    for name in ("left_wrist", "right_wrist", "left_ankle", "right_ankle"):
        joint = skeleton.joints.index(name)
        trail = places_FJ2[max(frame - TRAIL * EVERY, 0) : frame + 1, joint]
        pen.line([point(place) for place in trail], fill=GHOST, width=2 * FINE)
    here_J2 = places_FJ2[frame]
    for one, other in skeleton.bones:
        pen.line([point(here_J2[one]), point(here_J2[other])], fill=colour, width=3 * FINE)
    for x, y in map(point, here_J2):
        pen.ellipse([x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE], fill=colour)


def point(place: Floats) -> Point:
    """Return a place as Pillow takes it."""
    return float(place[0]), float(place[1])


def chart(pen: ImageDraw.ImageDraw, both: tuple[Floats, Floats], frame: int) -> None:
    """Draw the depth of the ankle that jitters most, before and after, up to a frame."""
    joint = int(np.abs(np.diff(both[0][..., 2], 2, axis=0)).mean(0).argmax())
    least, most = np.quantile(np.concatenate([one[:, joint, 2] for one in both]), [0, 1])
    for depth_F, colour, wide in (
        (both[0][:, joint, 2], FAINT, 1.5), (both[1][:, joint, 2], BLUE, 2.5)
    ):  # fmt: skip
        x_F = (40 + np.arange(len(depth_F)) / len(depth_F) * (WIDE - 80)) * FINE
        y_F = (390 - 50 * (depth_F - least) / (most - least)) * FINE
        line = [(float(x), float(y)) for x, y in zip(x_F, y_F, strict=True)]
        pen.line(line[: frame + 1], fill=colour, width=round(wide * FINE))
    name = joint_sets()["h36m17"].joints[joint].replace("_", " ")
    write(pen, (40, 322), f"depth of the {name}", INK, 12)


def write(pen: ImageDraw.ImageDraw, place: Point, text: str, colour: str, size: int) -> None:
    """Write some words."""
    font = ImageFont.load_default(size * FINE)
    pen.text((place[0] * FINE, place[1] * FINE), text, fill=colour, font=font)


def main() -> None:
    """Make the GIF."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--camera", type=int, default=2, help="0 to 3")
    parser.add_argument("--output", type=Path, default=Path("docs/images/before_after.gif"))
    given = parser.parse_args()
    both = poses(given.camera)
    places = flat(both[0], WIDE / 4), flat(both[1], 3 * WIDE / 4)
    pictures = []
    for frame in range(0, len(both[0]), EVERY):
        picture = Image.new("RGB", (WIDE * FINE, HIGH * FINE), "white")
        pen = ImageDraw.Draw(picture)
        write(pen, (40, 12), "MediaPipe, one camera", ORANGE, 16)
        write(pen, (WIDE / 2 + 40, 12), "poise refine", BLUE, 16)
        draw(pen, places[0], frame, ORANGE)
        draw(pen, places[1], frame, BLUE)
        chart(pen, both, frame)
        small = picture.resize((WIDE, HIGH), Image.Resampling.LANCZOS)
        pictures.append(small.quantize(32, dither=Image.Dither.NONE))
    out = io.BytesIO()
    pictures[0].save(out, format="gif", save_all=True, append_images=pictures[1:], loop=0,
                     duration=SHOWN, optimize=True)  # fmt: skip
    given.output.write_bytes(out.getvalue())
    print(f"{given.output}: {len(pictures)} pictures, {len(out.getvalue()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
