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
from poise.experiments.grid import Fold, TrialSpec
from poise.experiments.shared_splits import SplitSource
from poise.experiments.tracking.extremes import pictures
from poise.lake.manifest import read_manifest
from poise.pvd.pose_bank import PoseBank
from poise.pvd.retriever import retrieves
from poise.readers.plausible import Bodies
from poise.readers.scale import no_person
from poise.runtime.errors import LakeError, PlanError
from poise.runtime.names import normal
from poise.training_data.everybody import with_neighbours
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit, load_split
from poise.training_data.streaming import StreamedSplit
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.base.refiner import Refiner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialData:
    """A trial's splits; the test split of the lake is not read before the end.

    Attributes:
        source: reads splits that fit into memory.
        whole: all training subjects.
        train: the training subjects that are not held out.
        validation: the held-out ones.
        subjects: who they are.
        bank: the poses of the PVD; of all training subjects, as at test time. A window's own
            subject is never among its neighbours.
        fold: the test people of a fold; None where the test split is the lake's.
    """

    track: Track
    source: SplitSource
    whole: TrackSplit | StreamedSplit
    train: TrackSplit | StreamedSplit
    validation: TrackSplit
    subjects: tuple[str, ...]
    bank: PoseBank | None
    fold: TrackSplit | None = None

    @classmethod
    def load(cls, spec: TrialSpec, source: SplitSource) -> Self:
        """Load the training split and hold subjects out.

        Raises:
            LakeError: the track is not in the lake, or holds no people.
            PlanError: see `held_out` and `fold_people`.
        """
        track = Track.parse(spec.track)
        if spec.fold is None:
            whole, fold = source.split(track, "train"), None
        else:
            whole, fold = _folded(spec, spec.fold, source)
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
            fold=fold,
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

    @property
    def tested(self) -> tuple[str, ...]:
        """The test people of the fold; none where the test split is the lake's."""
        return () if self.fold is None else tuple(sorted(set(self.fold.index.subjects)))

    def test(self, refiner: Refiner, seed: int) -> tuple[Evaluation, dict[str, bytes]]:
        """Evaluate on the test split, or the test people of the fold; draw the extremes."""
        split = self.source.split(self.track, "test") if self.fold is None else self.fold
        found = examples(refiner, split, self.bank)
        evaluation = evaluate(refiner, found, self.track, seed)
        return evaluation, pictures(refiner, found, evaluation, self.track)

    def evaluate(self, refiner: Refiner, split: TrackSplit, seed: int) -> Evaluation:
        """Evaluate on a split."""
        return evaluate(refiner, examples(refiner, split, self.bank), self.track, seed)


def test_split(spec: TrialSpec, source: SplitSource) -> tuple[TrackSplit, PoseBank | None]:
    """Return what a trial is scored on, and the poses of the PVD where its refiner reads them.

    Raises:
        LakeError: the track is not in the lake, or lacks what the refiner reads.
    """
    track, reads = Track.parse(spec.track), retrieves(fresh_refiner(spec))
    if spec.fold is None:
        bank = source.split(track, "train").bank() if reads else None
        return source.split(track, "test"), bank
    everybody = source.split(track, "everybody")
    people = fold_people(spec.fold, track, everybody.index.subjects)
    fold, whole = everybody.only(people), everybody.without(people)
    if not reads:
        return fold, None
    if read_manifest(source.lake, track).pvd is not None:
        fold = with_neighbours(fold, whole)
    return fold, whole.bank()


def load_data(spec: TrialSpec, source: SplitSource, stream_gb: float | None) -> TrialData:
    """Load a trial's training split, or get ready to stream it; the errors are as theirs."""
    if stream_gb is None:
        return TrialData.load(spec, source)
    return TrialData.stream(spec, source, stream_gb)


def _folded(spec: TrialSpec, fold: Fold, source: SplitSource) -> tuple[TrackSplit, TrackSplit]:
    """Return everybody but the people of a fold, and those.

    Neighbours in the lake are of its own train split. Where the refiner reads them, they are
    searched anew, among windows of nobody whom the fold tests.
    """
    track = Track.parse(spec.track)
    everybody = source.split(track, "everybody")
    people = fold_people(fold, track, everybody.index.subjects)
    if read_manifest(source.lake, track).pvd is not None and retrieves(fresh_refiner(spec)):
        everybody = with_neighbours(everybody, everybody.without(people))
    return everybody.without(people), everybody.only(people)


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


def fold_people(fold: Fold, track: Track, subjects: Iterable[str]) -> tuple[str, ...]:
    """Return the subjects that a fold tests: dealt in turn, in natural order.

    Args:
        fold: which, and of how many.
        track: for errors.
        subjects: everybody; who is spelt in two of Unicode's normal forms is one person.

    Raises:
        PlanError: there are fewer people than folds, or too few to train on and to validate.
    """
    have = set(subjects)
    people = sorted(set(map(normal, have)), key=_natural)
    mine = people[fold.number - 1 :: fold.of]
    if fold.of > len(people):
        raise PlanError(
            f"validation.folds: {track} has {len(people)} people ({', '.join(people)}), "
            f"too few for {fold.of} folds"
        )
    if len(people) - len(mine) < 2:
        raise PlanError(
            f"validation.folds: {track} has {len(people)} people ({', '.join(people)}), and the "
            f"{fold} tests {', '.join(mine)}: two more are needed, to train and to validate on"
        )
    return tuple(sorted((name for name in have if normal(name) in mine), key=_natural))


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
