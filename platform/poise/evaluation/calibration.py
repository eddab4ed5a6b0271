"""A person's constant, learnt from some of their clips, and scored on the others.

Of every person in a raw split some clips are drawn as references, in an order that a seed gives.
The first K of them make the constant, for every K asked for, and the same others are scored.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poise.catalog.tracks import TrackInfo
from poise.checkpoints.checkpoint import CARD, save_checkpoint
from poise.evaluation.evaluate import CLIPS_AT_ONCE
from poise.evaluation.metrics import PoseErrors, pool, pose_errors
from poise.evaluation.raw_data import RawExamples, RawRequest, read_examples, training_pairs
from poise.runtime import storage
from poise.runtime.errors import CheckpointError, DataError
from poise.training_data.examples import Examples
from poise_models.base.calibration import USUAL, Calibration, mean_error
from poise_models.base.clip import Clip
from poise_models.base.refiner import Pair, Refiner
from poise_models.general.general import General

#: Clips of a training person that are refined to see what a refiner leaves.
_LOOKED_AT = 10
#: Callback with how many draws are scored, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Calibrated:
    """A person's constant that was written: MPJPE on its own clips, before and after."""

    subject: str
    clips: int
    before: float
    after: float


@dataclass(frozen=True)
class CalibratedRow:
    """Errors with so many reference clips a person: means over the draws, and their spread.

    Attributes:
        clips: references of each person, K.
        spread: standard deviation of MPJPE over the draws; 0 where there was one.
        frames: that each draw scored.
    """

    track: str
    refiner: str
    clips: int
    draws: int
    mpjpe: float
    spread: float
    pa_mpjpe: float
    accel: float
    frames: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary, as ``--json`` writes them."""
        return asdict(self)


def evaluate_calibrated(
    request: RawRequest, counts: Sequence[int], draws: int, progress: Progress
) -> tuple[list[CalibratedRow], RawExamples]:
    """Score a refiner with constants of reference clips; a row for each number of them.

    Args:
        request: as for `evaluate_raw`.
        counts: how many reference clips each person has, K.
        draws: how often references are drawn; all scores are means over the draws.
        progress: is told of every draw.

    Raises:
        DataError: somebody has no clip beyond the references, or the track's poses are rotations.
    """
    check_positions(request)
    read = read_examples(request)
    people: dict[str, list[int]] = {}
    for row in sorted(range(len(read.sequences)), key=lambda row: read.sequences[row].name):
        people.setdefault(read.sequences[row].subject, []).append(row)
    most = max(counts)
    for name, rows in people.items():
        if len(rows) <= most:
            raise DataError(
                f"{request.track}: {name} has {len(rows)} clips, and {most} as references leave "
                "none to score: ask for fewer, or cut sequences into clips (--clip)"
            )
    scorer = _Scorer(read, learnt(request, read), request.track.info)
    found: dict[int, list[PoseErrors]] = {count: [] for count in counts}
    for draw in range(draws):
        random = np.random.default_rng(draw)
        orders = [random.permutation(rows).tolist() for rows in people.values()]
        for count, scores in found.items():
            errors = [scorer.errors(order[:count], order[most:]) for order in orders]
            scores.append(pool([one for person in errors for one in person]))
        progress(draw + 1, draws)
    track, name = str(request.track), read.refiner.name
    return [_row(track, name, count, scores) for count, scores in found.items()], read


def calibrate(request: RawRequest, out: str) -> Calibrated:
    """Write a model with the constant of a person, whose clips are those of the request.

    Raises:
        CheckpointError: the model does not fit the track, or the folder holds something.
        DataError: the clips are of several people, or the track's poses are rotations.
    """
    if storage.exists(storage.join(out, CARD)):
        raise CheckpointError(f"{out} holds a checkpoint: name a folder that does not")
    check_positions(request)
    read = read_examples(request)
    assert read.card is not None  # noqa: S101  (of a model)
    names = sorted({sequence.subject for sequence in read.sequences})
    if len(names) > 1:
        raise DataError(
            f"{request.track}: these clips are of {', '.join(names)}, and a constant is of one "
            "person: name clips of one"
        )
    refiner, own_C = read.refiner, read.refiner.constant_C
    scorer = _Scorer(read, learnt(request, read), request.track.info)
    everything = range(len(read.sequences))
    before, after = (pool(scorer.errors(some, everything)) for some in ((), everything))
    refiner.constant_C = own_C + scorer.constant(everything)
    card = replace(read.card, tuned_from=str(request.model))
    if isinstance(refiner, General):  # its constant is of this track's joints
        card = replace(card, track=str(request.track))
    save_checkpoint(refiner, card, out)
    return Calibrated(names[0], len(everything), before.mpjpe, after.mpjpe)


def check_positions(request: RawRequest) -> None:
    """Raise `DataError` where a constant means nothing."""
    if request.track.representation == "smpl":
        raise DataError(f"{request.track}: a constant is one of positions, and these are rotations")


def learnt(request: RawRequest, read: RawExamples) -> Calibration:
    """Learn from the training people how far constants lie apart, and what they are drawn to.

    How far is told by the estimator's own errors: a refiner's on those whom it was fitted on say
    nothing of new people. What they are drawn to is the mean of what the refiner leaves of some
    clips of each; nothing where it was fitted on them. Without training people spreads are the
    usual ones.
    """
    refiner, spec = read.refiner, read.refiner.spec
    people: dict[str, list[Pair]] = {}
    try:
        for pair in training_pairs(request):
            people.setdefault(pair.subject, []).append(pair)
    except DataError:
        return USUAL
    raw = {
        name: [mean_error(pair.detected_FC, pair.truth_FC, spec) for pair in pairs]
        for name, pairs in people.items()
    }
    found = Calibration.of(raw, spec)
    trained_on = read.card.track if read.card else str(request.track)
    if refiner.learns and trained_on == str(request.track):
        return found
    left: list[Tensor] = []
    for pairs in people.values():
        some = pairs[:: -(-len(pairs) // _LOOKED_AT)]
        refined = refiner.refine([Clip(pair.detected_FC) for pair in some])
        errors = zip(refined, some, strict=True)
        means = [mean_error(one.poses_FC, pair.truth_FC, spec) for one, pair in errors]
        left.append(torch.stack(means).nanmean(0))
    mean_C = torch.stack(left).nanmean(0).nan_to_num()
    return replace(found, mean_C=mean_C)


def mean_errors(refined: Sequence[Tensor], seen: Examples, refiner: Refiner) -> Tensor:
    """Return the mean error of each clip, (K, C); joints whose truth is not known do not count."""
    rows = zip(seen.names, refined, seen.truths, strict=True)
    found = []
    for name, refined_FC, truth_FC in rows:
        if (untrue_FJ := seen.untrue.get(name)) is not None:
            unknown_FC = untrue_FJ.repeat_interleave(refiner.spec.dims, dim=1)
            truth_FC = truth_FC.masked_fill(unknown_FC, torch.nan)
        found.append(mean_error(refined_FC, truth_FC, refiner.spec))
    return torch.stack(found)


def refine_all(refiner: Refiner, seen: Examples) -> list[Tensor]:
    """Refine all clips, some at once."""
    groups = (
        seen.clips[at : at + CLIPS_AT_ONCE] for at in range(0, len(seen.clips), CLIPS_AT_ONCE)
    )
    return [one.poses_FC for group in groups for one in refiner.refine(group)]


class _Scorer:
    """Refined clips, to score with any constant."""

    def __init__(self, read: RawExamples, calibration: Calibration, info: TrackInfo) -> None:
        self._seen, self._spec, self._info = read.examples, read.refiner.spec, info
        self._calibration = calibration
        self._refined = refine_all(read.refiner, read.examples)
        self._errors_NC = mean_errors(self._refined, read.examples, read.refiner)

    def constant(self, references: Sequence[int]) -> Tensor:
        """Return the constant of a person's clips by number."""
        return self._calibration.constant(self._errors_NC[list(references)], self._spec)

    def errors(self, references: Sequence[int], scored: Sequence[int]) -> list[PoseErrors]:
        """Score a person's clips by number, with the constant of others."""
        constant_C = self.constant(references)
        return [
            pose_errors(
                self._refined[row] - constant_C,
                self._seen.truths[row],
                self._info,
                None,
                self._seen.untrue.get(self._seen.names[row]),
            )
            for row in scored
        ]


def _row(track: str, refiner: str, count: int, scores: Sequence[PoseErrors]) -> CalibratedRow:
    mpjpe = [one.mpjpe for one in scores]
    return CalibratedRow(
        track=track,
        refiner=refiner,
        clips=count,
        draws=len(scores),
        mpjpe=statistics.fmean(mpjpe),
        spread=statistics.stdev(mpjpe) if len(mpjpe) > 1 else 0.0,
        pa_mpjpe=statistics.fmean(one.pa_mpjpe for one in scores),
        accel=statistics.fmean(one.accel for one in scores),
        frames=scores[0].frames,
    )
