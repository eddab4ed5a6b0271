"""Test sequences of trials, refined again by the weights that these kept.

Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.analysis.uncertainty import sequence_errors
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, load_checkpoint
from poise.checkpoints.training_lake import lake_of
from poise.evaluation.evaluate import in_parts
from poise.evaluation.metrics import compared
from poise.experiments.shared_splits import Part, SplitSource
from poise.experiments.trial_data import test_split
from poise.lake.manifest import manifest_hash, read_manifest
from poise.pvd.pose_bank import PoseBank
from poise.report.sweeps.trials import Method, Trial
from poise.runtime.errors import DataError, LakeError
from poise.runtime.settings import Settings
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit
from poise_models.base.clip import Refined
from poise_models.base.refiner import Refiner
from poise_models.fast.memory import keep_freed_memory

Floats = NDArray[np.float64]

#: What took longer is not done again.
MOST_S: Final = 300.0


@dataclass(frozen=True)
class Again:
    """One test sequence, relative to its root, in the reported unit.

    Attributes:
        detected_FJD: as it came.
        refined_FJD: as it was refined.
        truth_FJD: as it is.
        scored_FJ: the joints whose truth is known.
        expected: of a refiner that says how far off it is: its word and its errors
            (`poise.analysis.uncertainty.sequence_errors`); else None.
    """

    name: str
    detected_FJD: Floats
    refined_FJD: Floats
    truth_FJD: Floats
    scored_FJ: NDArray[np.bool_]
    expected: list[Tensor] | None


@dataclass(frozen=True)
class KeptSplits(SplitSource):
    """Splits that are read once."""

    kept: dict[tuple[str, Part], TrackSplit] = field(default_factory=dict, compare=False)

    def split(self, track: Track, split: Part) -> TrackSplit:
        """Return a split, read or kept."""
        key = str(track), split
        if key not in self.kept:
            self.kept[key] = super().split(track, split)
        return self.kept[key]


def first_seed(method: Method) -> list[Trial]:
    """Return the finished trials of a method's first seed, one for each fold."""
    found = [trial for trial in method.finished if trial.spec.seed == method.seeds[0]]
    return sorted(found, key=lambda trial: trial.spec.fold.number if trial.spec.fold else 0)


def seconds(trials: Sequence[Trial]) -> float:
    """Return how long refining took when the trials were scored."""
    return sum(trial.entry.row.seconds for trial in trials if trial.entry)


class Refinery:
    """Refines the test sequences of trials of one track."""

    def __init__(self, track: Track, settings: Settings) -> None:
        """Remember where data are looked for; torch has a thread, as where trials are scored."""
        torch.set_num_threads(1)  # more hold each other up where others work beside
        keep_freed_memory()
        self.track = track
        self._settings = settings
        self._source: KeptSplits | None = None

    def refined(self, trial: Trial) -> Iterator[Again]:
        """Yield the test sequences of a finished trial.

        Raises:
            LakeError: the track is not in the lake, or not as the trial had it.
            CheckpointError: the weights are not there any more.
            DataError: these are rotations, which have no place without a body model.
        """
        yield from _refined(*self.loaded(trial), self.track)

    def loaded(self, trial: Trial) -> tuple[Refiner, TrackSplit, PoseBank | None]:
        """Return a finished trial's refiner, what it was scored on, and the poses that it reads.

        Raises:
            LakeError, CheckpointError: as `refined`.
        """
        refiner, card = load_checkpoint(trial.folder.checkpoint)
        return refiner, *self._split(trial, card)

    def _split(self, trial: Trial, card: ModelCard) -> tuple[TrackSplit, PoseBank | None]:
        if self._source is None:
            self._source = KeptSplits(lake_of(self._settings, card))
        lake = self._source.lake
        if manifest_hash(read_manifest(lake, self.track)) != trial.spec.manifest:
            raise LakeError(f"{self.track} in {lake} is not what the trials were scored on")
        return test_split(trial.spec, self._source)


def _refined(
    refiner: Refiner, split: TrackSplit, bank: PoseBank | None, track: Track
) -> Iterator[Again]:
    wanted, info, at = examples(refiner, split, bank), track.info, 0
    for clips, truths, untrue in in_parts(refiner, wanted):
        found = refiner.refine(clips)
        for clip, one, truth_FC, no_FJ in zip(clips, found, truths, untrue, strict=True):
            places = compared(one.poses_FC, truth_FC, info, untrue_FJ=no_FJ)
            before = compared(clip.detected_FC, truth_FC, info, untrue_FJ=no_FJ)
            if places is None or before is None:
                raise DataError(f"{track}: rotations have no joints in space to look at")
            refined_FJD, truth_FJD = places.relative()
            yield Again(
                wanted.names[at],
                before.relative()[0].numpy(),
                refined_FJD.numpy(),
                truth_FJD.numpy(),
                places.scored_FJ.numpy(),
                _expected(one, truth_FC, track, no_FJ),
            )
            at += 1


def _expected(
    found: Refined, truth_FC: Tensor, track: Track, untrue_FJ: Tensor | None
) -> list[Tensor] | None:
    if found.error_FJ is None:
        return None
    return sequence_errors(found, truth_FC, track.info, untrue_FJ)
