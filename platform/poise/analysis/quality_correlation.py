"""How well the pose quality encoding (PQE) and the branches' disagreement tell the true error.

Of every frame of whose truth something is known, by the joints that are, all in the reported
unit, poses relative to their roots as in MPJPE:

- input error (the paper's Diff1): mean joint distance of the detected pose to the truth;
- disagreement (Diff2): mean joint distance of the two branches' poses, each first averaged back to
  a sequence (SWAA). The paper's figure for Diff2 is of two trainings with other loss ratios;
- quality: the PQE, averaged back to a sequence, as `Refined.quality_F` has it;
- output error: mean joint distance of the refined pose to the truth.

An indicator that works has a positive correlation of disagreement and error, and a negative one of
quality and error. The PQE divides by the largest disagreement of its own window, so it compares
frames within a window; how large the disagreement is at all is not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import pearsonr
from torch import Tensor

from poise.analysis.inputs import AnalysisInputs
from poise.analysis.result import AnalysisResult, side_by_side
from poise.catalog.tracks import Track, TrackInfo
from poise.evaluation.metrics import unit
from poise.evaluation.rotations import angle_errors, matrices
from poise.pvd.pose_bank import PoseBank
from poise.runtime.errors import CheckpointError, DataError
from poise.runtime.plotting import INK, png
from poise.runtime.text.table import text_table
from poise.training_data.split import TrackSplit
from poise_models.base.clip import Clip
from poise_models.base.windows import overlap_add, unfold
from poise_models.networks.synspp import SynSPP

#: The paper's: Diff1 with Diff2, mean over Human3.6M and 3DPW.
PUBLISHED = 0.48
PAIRS = (
    ("disagreement", "input error"),
    ("disagreement", "output error"),
    ("quality", "input error"),
    ("quality", "output error"),
)
_Column = NDArray[np.float64]


@dataclass(frozen=True)
class FrameMeasures:
    """Quantities of every frame of every sequence; see the top of this module.

    Attributes:
        sequence_F: the number of the sequence that a frame is of (F,).
        values: ``disagreement``, ``quality``, ``input error``, ``output error``, or other
            indicators: (F,) each.
        unit: of disagreement and errors.
    """

    sequence_F: NDArray[np.int64]
    values: dict[str, _Column]
    unit: str


@dataclass(frozen=True)
class Correlation:
    """Pearson's coefficient of an indicator and an error, taken in three ways.

    Attributes:
        indicator: ``disagreement``, ``quality``, or another.
        error: ``input error`` or ``output error``.
        frames: over all frames of all sequences together.
        within: over the frames of each sequence, then the mean over sequences.
        sequences: over the means of the sequences.
    """

    indicator: str
    error: str
    frames: float
    within: float
    sequences: float


def analyse(inputs: AnalysisInputs) -> AnalysisResult:
    """Correlate quality and error on the test split; see `quality_frames`, `correlations`."""
    frames = quality_frames(inputs.refiner, inputs.track, inputs.test, inputs.bank)
    found = correlations(frames)
    count, sequences = len(frames.sequence_F), len(inputs.test.index.names)
    lines = [
        f"{inputs.track}: {count:,} frames of {sequences:,} sequences",
        quality_table(found),
        f"the paper, disagreement - input error: {PUBLISHED:+.2f} on other data sets",
    ]
    return AnalysisResult(found, "\n".join(lines), partial(quality_plot, frames))


def quality_frames(
    refiner: SynSPP, track: Track, test: TrackSplit, bank: PoseBank | None
) -> FrameMeasures:
    """Refine the test split, and measure quality and errors of every frame.

    Args:
        refiner: the network.
        track: of the split.
        test: what is refined.
        bank: poses among which neighbours are; None where each window is its own.

    Raises:
        CheckpointError: the network has no refine decoder, or no quality encoding.
    """
    info = track.info
    if not refiner.config.quality_encoding:
        raise CheckpointError(
            "this SynSP++ was trained without quality_encoding: it has no quality to look at"
        )
    sequence, columns = [], []
    clips, untrue = test.clips(bank), test.untrue_joints()
    for number, (clip, truth_FC) in enumerate(zip(clips, test.truths(), strict=True)):
        position_FC, smooth_FC, final_FC, quality_F = branch_outputs(refiner, clip)
        untrue_FJ = untrue.get(test.index.names[number])
        known_FJ = None
        if untrue_FJ is not None:
            known_FJ = ~untrue_FJ & ~untrue_FJ[:, list(info.roots)].any(dim=1, keepdim=True)
        found = (
            frame_errors(position_FC, smooth_FC, info),
            quality_F.double(),
            frame_errors(clip.detected_FC, truth_FC, info, known_FJ),
            frame_errors(final_FC, truth_FC, info, known_FJ),
        )
        known = slice(None) if known_FJ is None else known_FJ.any(dim=1)
        columns.append([column_F[known] for column_F in found])
        sequence.append(np.full(len(columns[-1][0]), number))
    names = ("disagreement", "quality", "input error", "output error")
    joined = (torch.cat(column).numpy() for column in zip(*columns, strict=True))
    values = dict(zip(names, joined, strict=True))
    return FrameMeasures(np.concatenate(sequence), values, unit(info, None))


@torch.inference_mode()
def branch_outputs(refiner: SynSPP, clip: Clip) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Refine a clip, and keep what the network computes on its way, averaged by SWAA.

    Returns:
        Output of the position branch, of the acceleration branch and of the whole network, each
        (F, C); quality (F,).

    Raises:
        CheckpointError: the network has no two branches, or no quality encoding.
    """
    windows_NTC = unfold(clip.detected_FC, refiner.window)
    neighbours_NKTC, distances_NK = clip.neighbours_NKTC, clip.distances_NK
    if neighbours_NKTC is None or distances_NK is None:
        neighbours_NKTC = windows_NTC[:, None]
        distances_NK = windows_NTC.new_ones(len(windows_NTC), 1)
    found = refiner.eval().outputs(windows_NTC, neighbours_NKTC, distances_NK)
    frames = len(clip.detected_FC)
    kept = [overlap_add(part, frames) for part in found if part is not None]
    if len(kept) != len(found):
        raise CheckpointError("this SynSP++ has no two branches, or no quality encoding")
    position_FC, smooth_FC, final_FC, quality_F = kept
    return position_FC, smooth_FC, final_FC, quality_F


def frame_errors(
    poses_FC: Tensor, others_FC: Tensor, info: TrackInfo, known_FJ: Tensor | None = None
) -> Tensor:
    """The mean joint distance of each frame (F,), root-relative, in the track's reported unit.

    Of SMPL rotations it is the mean angle between them, in degrees.

    Args:
        poses_FC: (F, C) in stored units.
        others_FC: what to compare them with, (F, C).
        info: joints, dims, roots and the factor to the reported unit.
        known_FJ: the joints that are compared; None for all. NaN where a frame has none.
    """
    distance_FJ = _joint_errors(poses_FC, others_FC, info)
    if known_FJ is None:
        return distance_FJ.mean(dim=-1)
    return (distance_FJ * known_FJ).sum(dim=-1) / known_FJ.sum(dim=-1)


def _joint_errors(poses_FC: Tensor, others_FC: Tensor, info: TrackInfo) -> Tensor:
    if info.dims == 6:
        return angle_errors(matrices(poses_FC.double()), matrices(others_FC.double()))
    gap_FJD = (poses_FC.double() - others_FC.double()).unflatten(-1, (info.joints, info.dims))
    if info.roots:
        gap_FJD = gap_FJD - gap_FJD[:, list(info.roots)].mean(dim=1, keepdim=True)
    distance_FJ: Tensor = gap_FJD.norm(dim=-1) * info.to_metric
    return distance_FJ


def correlations(
    frames: FrameMeasures, pairs: Sequence[tuple[str, str]] = PAIRS
) -> list[Correlation]:
    """Correlate disagreement and quality with the input's error and with the output's.

    Args:
        frames: what was measured.
        pairs: names of an indicator and an error among its values.

    Raises:
        DataError: a quantity is the same in every frame.
    """
    found = []
    numbers = np.unique(frames.sequence_F)
    for indicator, error in pairs:
        x_F, y_F = frames.values[indicator], frames.values[error]
        each = [(x_F[frames.sequence_F == n], y_F[frames.sequence_F == n]) for n in numbers]
        within = [pearson(x, y) for x, y in each if _varies(x) and _varies(y)]
        means = [(x.mean(), y.mean()) for x, y in each]
        by_sequence = pearson(*np.array(means).T) if len(means) > 1 else float("nan")
        mean = float(np.mean(within)) if within else float("nan")
        found.append(Correlation(indicator, error, pearson(x_F, y_F), mean, by_sequence))
    return found


def pearson(x: _Column, y: _Column) -> float:
    """Pearson's coefficient; raise `DataError` where one of the two does not vary."""
    if not (_varies(x) and _varies(y)):
        raise DataError("a quantity is the same in every frame: nothing can be correlated with it")
    return float(pearsonr(x, y).statistic)


def quality_table(found: Sequence[Correlation]) -> str:
    """The coefficients as a text table."""
    header = ["Pearson", "all frames", "within a sequence", "sequence means"]
    body = [
        [
            f"{one.indicator} - {one.error}",
            *(f"{value:+.3f}" for value in (one.frames, one.within, one.sequences)),
        ]
        for one in found
    ]
    return text_table(header, body)


def quality_plot(frames: FrameMeasures) -> bytes:
    """Draw both indicators against the input error as a PNG: the darker, the more frames."""
    figure, panels = side_by_side(2)
    error_F = frames.values["input error"]
    for panel, indicator in zip(panels, ("disagreement", "quality"), strict=True):
        value_F = frames.values[indicator]
        # One frame in a thousand would otherwise set the scale.
        seen = (error_F <= np.quantile(error_F, 0.999)) & (value_F <= np.quantile(value_F, 0.999))
        x_F, y_F = value_F[seen], error_F[seen]
        shades = panel.hexbin(x_F, y_F, gridsize=48, bins="log", cmap="Blues", mincnt=1)
        figure.colorbar(shades, ax=panel, label="frames", shrink=0.8)
        title = f"Pearson {pearson(value_F, error_F):+.2f} over {len(error_F):,} frames"
        panel.set_title(title, color=INK, fontsize=11, loc="left")
        suffix = f" of the branches, {frames.unit}" if indicator == "disagreement" else " (PQE)"
        panel.set_xlabel(f"{indicator}{suffix}", color=INK)
        panel.set_ylabel(f"error of the input, {frames.unit}", color=INK)
    return png(figure)


def _varies(values: _Column) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > 0)
