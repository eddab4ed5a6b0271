"""The splits a trial is fitted on, chosen by, and at the end scored on."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import torch

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation.evaluate import Evaluation, evaluate
from poise.experiments.fit import FitRequest
from poise.experiments.grid import TrialSpec
from poise.experiments.shared_splits import SplitSource
from poise.pvd.pose_bank import PoseBank
from poise.pvd.retriever import retrieves
from poise.readers.plausible import Bodies
from poise.readers.scale import no_person
from poise.runtime.errors import LakeError, PlanError
from poise.runtime.names import normal
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit, load_split
from poise.training_data.streaming import StreamedSplit
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.base.refiner import Refiner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialData:
    """A trial's splits; the test split is not read before the end.

    Attributes:
        source: reads splits that fit into memory.
        whole: all training subjects.
        train: the training subjects that are not held out.
        validation: the held-out ones.
        subjects: who they are.
        bank: the poses of the PVD; of all training subjects, as at test time. A window's own
            subject is never among its neighbours.
    """

    track: Track
    source: SplitSource
    whole: TrackSplit | StreamedSplit
    train: TrackSplit | StreamedSplit
    validation: TrackSplit
    subjects: tuple[str, ...]
    bank: PoseBank | None

    @classmethod
    def load(cls, spec: TrialSpec, source: SplitSource) -> Self:
        """Load the training split and hold subjects out.

        Raises:
            LakeError: the track is not in the lake, or holds no people.
            PlanError: see `held_out`.
        """
        track = Track.parse(spec.track)
        whole = source.split(track, "train")
        subjects = held_out(spec.validation, track, whole.index.subjects)
        validation = whole.only(subjects)
        check_people(validation)
        return cls(
            track=track,
            source=source,
            whole=whole,
            train=whole.without(subjects),
            validation=validation,
            subjects=subjects,
            bank=whole.bank(),
        )

    @classmethod
    def stream(cls, spec: TrialSpec, source: SplitSource, memory_gb: float) -> Self:
        """Hold subjects out, and leave the others' sequences in the lake.

        Args:
            spec: the trial.
            source: reads the validation and test splits, which do fit into memory.
            memory_gb: GiB of the training split to hold at once.

        Raises:
            LakeError: the track is not in the lake, or holds no people, or neighbours and poses
                leave no room.
            PlanError: see `held_out`.
        """
        track = Track.parse(spec.track)
        whole = StreamedSplit(source.lake, track, memory_bytes=int(memory_gb * 2**30))
        index, _ = whole.index()
        subjects = held_out(spec.validation, track, index.subjects)
        validation = load_split(source.lake, track, "train", subjects)
        check_people(validation)
        return cls(
            track=track,
            source=source,
            whole=whole,
            train=replace(whole, subjects=set(index.subjects) - set(subjects)),
            validation=validation,
            subjects=subjects,
            bank=whole.bank() if retrieves(fresh_refiner(spec)) else None,
        )

    def request(self, spec: TrialSpec, device: str) -> FitRequest:
        """Return what to fit on while subjects are held out."""
        return FitRequest(
            self.train, self.validation, self.bank, budget_of(spec), spec.seed, device
        )

    def refit_request(self, spec: TrialSpec, device: str) -> FitRequest:
        """Return what to fit on in the end, where the plan wants that: all training subjects."""
        return replace(self.request(spec, device), train=self.whole, validation=None)

    def input_errors(self) -> tuple[float, float]:
        """Return MPJPE and Accel of the validation subjects as detected."""
        raw = catalogue.build("input", pose_spec(self.track), {})
        row = self.evaluate(raw, self.validation, 0).row
        return row.mpjpe, row.accel

    def test(self, refiner: Refiner, seed: int) -> Evaluation:
        """Evaluate on the test split."""
        return self.evaluate(refiner, self.source.split(self.track, "test"), seed)

    def evaluate(self, refiner: Refiner, split: TrackSplit, seed: int) -> Evaluation:
        """Evaluate on a split."""
        return evaluate(refiner, examples(refiner, split, self.bank), self.track, seed)


def fresh_refiner(spec: TrialSpec) -> Refiner:
    """Build a trial's refiner with the fresh weights of its seed."""
    torch.manual_seed(spec.seed)
    return catalogue.build(spec.refiner, pose_spec(Track.parse(spec.track)), spec.settings)


def budget_of(spec: TrialSpec) -> Budget:
    """Return a trial's budget; one epoch for what is fitted in one go."""
    return spec.budget or Budget(epochs=1)


def check_people(split: TrackSplit) -> None:
    """Raise `LakeError` where poses of a lake that was made elsewhere are in another unit.

    What is odd about them and may be right is logged.
    """
    track = split.track
    if track.representation != "3D":
        return
    for column in (split.detected(), split.truths()):
        for name, poses_FC in zip(split.index.names, column, strict=True):
            wrong = no_person(poses_FC.numpy().reshape(len(poses_FC), -1, 3), track.info.metres)
            if wrong:
                raise LakeError(f"{track}, sequence {name} in the lake: {wrong}; then ingest again")
    bodies = Bodies(track.info)
    for detected_FC, truth_FC in zip(split.detected(), split.truths(), strict=True):
        bodies.add(detected_FC.numpy(), truth_FC.numpy())
    for note in bodies.notes():
        log.warning("%s: %s", track, note)


def held_out(
    wanted: Iterable[str], track: Track, training_subjects: Iterable[str]
) -> tuple[str, ...]:
    """Return the training subjects a trial is validated on.

    By default the last in natural order: a rule that knows nothing of the data. Names may be
    spelt in any of Unicode's normal forms.

    Raises:
        PlanError: a subject is not in the train split, or none would be left to train on.
    """
    have = sorted(set(training_subjects), key=_natural)
    named = tuple(wanted) or tuple(have[-1:])
    chosen = tuple(own for name in named for own in have if normal(own) == normal(name))
    unknown = [name for name in named if normal(name) not in map(normal, have)]
    if unknown:
        raise PlanError(
            f"validation.subjects: {track} has no training subject {', '.join(unknown)}; "
            f"it has {', '.join(have)}"
        )
    if len(set(chosen)) == len(have):
        raise PlanError(
            f"validation.subjects: {track} has the training subjects {', '.join(have)}, and "
            "holding out " + ", ".join(chosen) + " leaves none to train on"
        )
    return chosen


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
