"""Whether a refiner knows how far off it is: expected against observed errors.

Expected errors are `Refined.error_FJ`, one a joint and frame; observed ones are distances of
refined joints from the truth in space. What an estimator means by a joint is not what the truth
means, and nothing in the input tells by how much: so errors are observed a second time after each
joint's mean error of the sequence is taken off.

Shape letters: N joints of frames, F frames, J joints, B bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from poise.analysis import contenders
from poise.analysis.contenders import Contender, Sequences
from poise.analysis.quality_correlation import (
    Correlation,
    FrameMeasures,
    correlations,
    frame_errors,
    pearson,
    quality_table,
)
from poise.analysis.result import AnalysisResult, side_by_side
from poise.catalog.splits import Split
from poise.catalog.tracks import Track, TrackInfo
from poise.evaluation.metrics import compared
from poise.readers.raw_split import split_exists
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import CheckpointError, DataError
from poise.runtime.plotting import BLUE, FAINT, GREY, INK, ORANGE, png
from poise.runtime.text.table import text_table
from poise_models.base.clip import Refined

BINS = 10
#: Ways to observe an error.
OBSERVED, MOVING = "observed", "without constants"
_Column = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Expected and observed errors of all joints of all frames (N,), in the reported unit."""

    expected_N: _Column
    observed_N: _Column
    moving_N: _Column


@dataclass(frozen=True)
class Calibration:
    """How well expected errors are met, one way to observe them.

    Attributes:
        label: the model.
        observed: one of `OBSERVED` and `MOVING`.
        factor: what expected errors were multiplied by; 1 as the model says them.
        expected_B: the mean of each tenth of all joints, in the order of what is expected.
        observed_B: the mean error of the same joints.
        off: mean distance of the two, the calibration error, in the reported unit.
        correlation: Pearson's r over all joints and frames.
    """

    label: str
    observed: str
    factor: float
    expected_B: list[float]
    observed_B: list[float]
    off: float
    correlation: float


@dataclass(frozen=True)
class Told:
    """What a model's own word for its errors has to do with them, frame by frame."""

    label: str
    correlation: Correlation


def analyse(
    data: Path | None, track: Track, split: Split, models: Sequence[str], tracking_uri: str
) -> AnalysisResult:
    """Compare what models say about their errors with the errors.

    Args:
        data: folder of raw data.
        track: whose test subjects are looked at.
        split: the same.
        models: registered names or checkpoint folders.
        tracking_uri: of the registry.

    Raises:
        CheckpointError: a model says nothing about its errors, or is for other joints.
        DataError: nothing has ground truth.
    """
    if not models:
        raise DataError("name at least one --model")
    test = Sequences.read(data, track, split)
    others = split_exists(data, track, "train") and split == "test"
    practice = Sequences.read(data, track, "train").some() if others else None
    told, met = [], []
    for name in models:
        who = contenders.model(name, tracking_uri, track)
        refined = test.refined(who)
        told += [Told(who.label, one) for one in correlations(*_measured(who, test, refined))]
        if refined[0].error_FJ is not None:
            met += calibrations(who.label, joint_errors(test, refined))
            if practice is not None and who.learnt_on != track:
                known = joint_errors(practice, practice.refined(who))
                met += calibrations(who.label, joint_errors(test, refined), known)
    text = [f"{track}, {split}: {len(test.items):,} sequences"]
    text += [calibration_table(met, track.info.unit)] if met else []
    text += [
        f"{label}\n" + quality_table([one.correlation for one in told if one.label == label])
        for label in dict.fromkeys(one.label for one in told)
    ]
    draw = partial(calibration_plot, met, track.info.unit) if met else None
    return AnalysisResult([*met, *told], "\n\n".join(text), draw)


def joint_errors(sequences: Sequences, refined: Sequence[Refined]) -> Errors:
    """Expected and observed errors of the joints whose truth is known."""
    columns = []
    for one, found in zip(sequences.items, refined, strict=True):
        untrue = None if one.untrue_FJ is None else torch.from_numpy(one.untrue_FJ)
        assert one.truth_FC is not None  # noqa: S101  (as it was read)
        truth_FC = torch.from_numpy(one.truth_FC)
        columns.append(sequence_errors(found, truth_FC, sequences.track.info, untrue))
    return pooled(columns)


def sequence_errors(
    found: Refined, truth_FC: Tensor, info: TrackInfo, untrue_FJ: Tensor | None
) -> list[Tensor]:
    """Expected and both observed errors of the known joints of a sequence, N of each."""
    places = compared(found.poses_FC, truth_FC, info, untrue_FJ=untrue_FJ)
    assert found.error_FJ is not None  # noqa: S101  (asked before)
    assert places is not None  # noqa: S101  (no rotations)
    known_FJ = places.scored_FJ
    error_FJD = places.refined_FJD - places.truth_FJD
    count_J1 = known_FJ.sum(0).clamp(min=1)[:, None]
    constant_JD = (error_FJD * known_FJ[..., None]).sum(0) / count_J1
    values = (
        found.error_FJ.double() * info.to_metric,
        error_FJD.norm(dim=-1),
        (error_FJD - constant_JD).norm(dim=-1),
    )
    return [value_FJ[known_FJ] for value_FJ in values]


def pooled(columns: Sequence[Sequence[Tensor]]) -> Errors:
    """The errors of all sequences."""
    return Errors(*(torch.cat(list(column)).numpy() for column in zip(*columns, strict=True)))


def calibrations(label: str, errors: Errors, known: Errors | None = None) -> list[Calibration]:
    """Say how well expected errors are met, both ways to observe them.

    Args:
        label: of the model.
        errors: of the test subjects.
        known: of other subjects of the same track, whose ratio of observed to expected errors
            corrects what the model says; None leaves it as it is.
    """
    found = []
    for name, column in ((OBSERVED, "observed_N"), (MOVING, "moving_N")):
        observed_N: _Column = getattr(errors, column)
        factor = 1.0
        if known is not None:
            factor = float(getattr(known, column).mean() / known.expected_N.mean())
        tenths = np.array_split(np.argsort(errors.expected_N, kind="stable"), BINS)
        expected_B = [float(factor * errors.expected_N[tenth].mean()) for tenth in tenths]
        observed_B = [float(observed_N[tenth].mean()) for tenth in tenths]
        off = float(np.mean(np.abs(np.subtract(expected_B, observed_B))))
        r = pearson(errors.expected_N, observed_N)
        found.append(Calibration(label, name, factor, expected_B, observed_B, off, r))
    return found


def calibration_table(met: Sequence[Calibration], unit: str) -> str:
    """Calibration error, r and the ten bins, as text."""
    header = ["model", "errors", "factor", f"off by {unit}", "Pearson r"]
    header += [f"{place + 1}" for place in range(BINS)]
    body = [
        [one.label, one.observed, f"{one.factor:.2f}", f"{one.off:.1f}", f"{one.correlation:+.2f}"]
        + [f"{e:.0f}/{o:.0f}" for e, o in zip(one.expected_B, one.observed_B, strict=True)]
        for one in met
    ]
    said = f"expected / observed {unit} in each tenth of the joints, by what is expected"
    return f"{text_table(header, body, (0, 1))}\n{said}"


def calibration_plot(met: Sequence[Calibration], unit: str) -> bytes:
    """Draw observed over expected errors in ten bins, a panel a model, as a PNG."""
    labels = list(dict.fromkeys(one.label for one in met))
    figure, panels = side_by_side(len(labels))
    for panel, label in zip(panels, labels, strict=True):
        _draw(panel, [one for one in met if one.label == label])
        panel.set_title(label, color=INK, fontsize=11, loc="left")
        panel.set_xlabel(f"expected error, {unit}", color=INK)
        panel.set_ylabel(f"observed error, {unit}", color=INK)
        panel.legend(frameon=False, fontsize=9, labelcolor=INK)
    return png(figure)


def _draw(panel: Axes, met: Sequence[Calibration]) -> None:
    most = max(max(one.expected_B + one.observed_B) for one in met)
    panel.plot([0, most], [0, most], color=FAINT, linewidth=1, label="as expected")
    for one in met:
        colour = {OBSERVED: ORANGE, MOVING: BLUE}[one.observed]
        said = f"{one.observed}, off by {one.off:.1f}"
        corrected = one.factor != 1
        panel.plot(
            one.expected_B,
            one.observed_B,
            color=colour,
            marker="o",
            markersize=4,
            markerfacecolor="white" if corrected else colour,
            linestyle="--" if corrected else "-",
            linewidth=1.4,
            label=f"{said}, times {one.factor:.2f}" if corrected else said,
        )
    panel.set_xlim(0, most * 1.03)
    panel.set_ylim(0, most * 1.03)
    panel.spines["left"].set_color(GREY)


def _measured(
    who: Contender, sequences: Sequences, refined: Sequence[Refined]
) -> tuple[FrameMeasures, list[tuple[str, str]]]:
    """What a model says about each frame, and the frame's errors as in MPJPE."""
    word = "quality" if refined[0].error_FJ is None else "expected error"
    names = [f"{whose} error{less}" for less in ("", f" {MOVING}") for whose in ("input", "output")]
    columns, numbers = [], []
    for number, (one, found) in enumerate(zip(sequences.items, refined, strict=True)):
        said_F = found.quality_F if found.error_FJ is None else found.error_FJ.mean(1)
        if said_F is None:
            raise CheckpointError(f"{who.label} says nothing about its errors: name another model")
        known_F, errors = _frame_errors(one, found, sequences.track.info)
        columns.append([column_F[known_F] for column_F in (said_F.double(), *errors)])
        numbers.append(np.full(int(known_F.sum()), number))
    joined = (torch.cat(column).numpy() for column in zip(*columns, strict=True))
    values = dict(zip([word, *names], joined, strict=True))
    frames = FrameMeasures(np.concatenate(numbers), values, sequences.track.info.unit)
    return frames, [(word, name) for name in names]


def _frame_errors(
    one: PoseSequence, found: Refined, info: TrackInfo
) -> tuple[Tensor, list[Tensor]]:
    """Frames that are scored, and errors of input and output (F,), then without constants."""
    assert one.truth_FC is not None  # noqa: S101  (as it was read)
    truth_FC = torch.from_numpy(one.truth_FC)
    known_FJ = torch.ones(len(truth_FC), info.joints, dtype=torch.bool)
    if one.untrue_FJ is not None:
        untrue_FJ = torch.from_numpy(one.untrue_FJ)
        known_FJ = ~untrue_FJ & ~untrue_FJ[:, list(info.roots)].any(dim=1, keepdim=True)
    known_FC = known_FJ.repeat_interleave(info.dims, dim=1)
    poses = torch.from_numpy(one.detected_FC), found.poses_FC
    # Roots are taken off afterwards, which changes no constant's being one.
    constants = [
        ((poses_FC - truth_FC) * known_FC).sum(0) / known_FC.sum(0).clamp(min=1)
        for poses_FC in poses
    ]
    moving = [poses_FC - constant_C for poses_FC, constant_C in zip(poses, constants, strict=True)]
    errors = [frame_errors(some_FC, truth_FC, info, known_FJ) for some_FC in (*poses, *moving)]
    return known_FJ.any(dim=1), errors
