"""The worst and the median sequence of a test split as pictures: input and refined over truth.

Shape letters: F frames, J joints, D dims, C = J * D.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import Evaluation
from poise.pvd.show.stick_figures import Bone, View, bones, up_of
from poise.runtime.plotting import BLUE, GHOST, INK, ORANGE
from poise.training_data.examples import Examples
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_retrieval.geometry.skeletons import Skeleton

Floats = NDArray[np.float32]

#: Frames of a sequence, evenly spread, and the size of each in pixels.
_FRAMES, _CELL, _TITLE = 7, 150, 24


@dataclass(frozen=True)
class Poses:
    """One sequence as it was detected, is true, and was refined, (F, J, D) each."""

    name: str
    error: str
    detected: Floats
    truth: Floats
    refined: Floats


def pictures(
    refiner: Refiner, examples: Examples, evaluation: Evaluation, track: Track
) -> dict[str, bytes]:
    """Return PNGs of the sequences with the largest and the median MPJPE, by those words.

    None of tracks whose poses are no points, or whose bones nobody knows.

    Args:
        refiner: that was evaluated.
        examples: on which it was.
        evaluation: what came of it.
        track: whose sequences they are.
    """
    skeleton = track.info.skeleton
    if track.representation == "smpl" or skeleton is None:
        return {}
    scored = [
        (errors.mpjpe, place)
        for place, (_, errors) in enumerate(evaluation.sequences)
        if errors.frames and np.isfinite(errors.mpjpe)
    ]
    if not scored:
        return {}
    scored.sort()
    places = {"worst": scored[-1], "median": scored[len(scored) // 2]}
    dims, unit = track.info.dims, evaluation.row.unit
    return {
        word: _drawn(
            _poses(refiner, examples, place, dims, f"{word}: MPJPE {error:.1f} {unit}"), skeleton
        )
        for word, (error, place) in places.items()
    }


def _poses(refiner: Refiner, examples: Examples, place: int, dims: int, error: str) -> Poses:
    views = refiner.views if isinstance(refiner, WindowRefiner) else 1
    first = place // views * views  # the views of a take stay together
    refined = refiner.refine(examples.clips[first : first + views])[place - first].poses_FC
    tensors = (examples.clips[place].detected_FC, examples.truths[place], refined)
    detected, truth, ours = (
        one.detach().cpu().numpy().astype(np.float32).reshape(len(one), -1, dims) for one in tensors
    )
    return Poses(examples.names[place], error, detected, truth, ours)


def _drawn(poses: Poses, skeleton: Skeleton) -> bytes:
    up = up_of([poses.truth], skeleton) if poses.truth.shape[2] == 3 else None
    view, lines = View.of(poses.truth, skeleton, up), bones(skeleton)
    at = np.linspace(0, len(poses.truth) - 1, _FRAMES).round().astype(int)
    flat = {
        name: view.project(np.nan_to_num(poses_FJD[at]))
        for name, poses_FJD in (
            ("truth", poses.truth),
            ("detected", poses.detected),
            ("refined", poses.refined),
        )
    }
    centre_F = flat["truth"].mean(1, keepdims=True)
    reach = float(np.abs(flat["truth"] - centre_F).max()) or 1.0
    picture = Image.new("RGB", (_FRAMES * _CELL, 2 * _CELL + 2 * _TITLE), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    draw.text((8, 4), f"{poses.error}   {poses.name}", INK, font)
    for row, (name, colour) in enumerate((("detected", ORANGE), ("refined", BLUE))):
        top = _TITLE + row * _CELL
        for column in range(_FRAMES):
            middle = (column * _CELL + _CELL / 2, top + _CELL / 2)
            for which, ink, width in (("truth", GHOST, 5), (name, colour, 2)):
                points_J2 = (flat[which][column] - centre_F[column]) / reach * (0.46 * _CELL)
                for line in _segments(points_J2, lines, middle):
                    draw.line(line, ink, width)
        draw.text((8, top + 4), name, colour, font)
    draw.text(
        (8, 2 * _CELL + _TITLE + 4), f"over the truth, frames {', '.join(map(str, at))}", INK, font
    )
    out = io.BytesIO()
    picture.quantize(48).save(out, format="png", optimize=True)
    return out.getvalue()


def _segments(
    points_J2: NDArray[np.float64], lines: list[Bone], middle: tuple[float, float]
) -> Iterator[tuple[float, float, float, float]]:
    for bone in lines:
        (x, y), (u, v) = points_J2[bone.first], points_J2[bone.second]
        yield middle[0] + x, middle[1] - y, middle[0] + u, middle[1] - v
