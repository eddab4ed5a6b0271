"""The best network of each track becomes the champion of its registered model."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from poise.catalog.tracks import Track
from poise.checkpoints.champions import crown, promotions
from poise.checkpoints.registry import find_version, model_name, register, renew_package, versions
from poise.checkpoints.run_files import fetch_file
from poise.evaluation.paired import Interval, Run, Runs, difference
from poise.evaluation.scored import Scored, from_csv
from poise.experiments.grid import TrialSpec
from poise.experiments.mlflow_mirror import RETRIEVAL, MlflowMirror
from poise.experiments.records import TrialResult
from poise.experiments.tracking.facts import TRIAL_KEY
from poise.runtime.text.files import read_text

_MANIFEST, _SCORE, _HELD_OUT = "poise.lake_manifest", "poise.score", "poise.held_out"
#: Who promotes where nobody asked.
_AUTOMATIC = "poise sweep"


@dataclass(frozen=True)
class Candidate:
    """A trial that was validated, and may become champion."""

    spec: TrialSpec
    result: TrialResult

    @property
    def score(self) -> float:
        """On the validation subjects; smaller is better."""
        return (self.result.validation or {})["score"]

    def scores(self, sequences: Sequence[Scored]) -> Runs | None:
        """Return sequences with the score of each in the place of MPJPE; None where unknown.

        The score weighs errors by those of the input, which are the same for all that compare.
        """
        validation = self.result.validation or {}
        if not sequences or "input_mpjpe" not in validation:
            return None
        raw = validation["input_mpjpe"], validation["input_accel"]
        scored = [
            replace(one, errors=replace(one.errors, mpjpe=_score(one, *raw))) for one in sequences
        ]
        return Runs.of([Run(0, 0, scored)])

    @property
    def comparable(self) -> dict[str, str]:
        """What two trials must share for their scores to compare: data and held-out subjects."""
        return {_MANIFEST: self.spec.manifest, _HELD_OUT: ", ".join(self.result.held_out)}


def _score(one: Scored, mpjpe: float, accel: float) -> float:
    return (one.errors.mpjpe / mpjpe + one.errors.accel / accel) / 2


def promote_best(mirror: MlflowMirror, specs: Sequence[TrialSpec]) -> Iterator[str]:
    """Promote the best network of each track; filters are yardsticks, but may score better.

    The networks of a cross-validation have learnt from the test split: none of them is promoted.

    Args:
        mirror: has published the trials.
        specs: the trials to choose from.

    Yields:
        Sentences about what happened.
    """
    if any(spec.fold for spec in specs):
        yield "no champion comes of folds: their networks have learnt from the track's test split"
        return
    for track in dict.fromkeys(spec.track for spec in specs):
        candidates = []
        for spec in specs:
            result = mirror.sweep.trial(spec.key).result()
            if spec.track == track and result is not None and result.validation is not None:
                candidates.append(Candidate(spec, result))
        networks = [one for one in candidates if one.spec.budget is not None]
        if not networks:
            continue
        best = min(networks, key=lambda one: one.score)
        yield from promote(mirror, best)
        rival = min(candidates, key=lambda one: one.score)
        if rival.score < best.score:
            yield (
                f"careful: on the validation subjects {', '.join(best.result.held_out)} "
                f"{rival.spec.title} scores better than {best.spec.title} "
                f"({rival.score:.3f} against {best.score:.3f})"
            )


def promote(mirror: MlflowMirror, candidate: Candidate) -> Iterator[str]:
    """Make a finished trial the champion of its track, if it beats the present one.

    It does where it is better on the validation subjects by more than chance explains: the
    bootstrap interval of the difference, sequence by sequence, excludes zero. Two trials compare
    only if both were validated on the same subjects of the same data.

    Args:
        mirror: has published the trial.
        candidate: the trial.

    Yields:
        Sentences about what happened.
    """
    spec, client = candidate.spec, mirror.client
    name = model_name(Track.parse(spec.track))
    present = find_version(client, name)
    if present is not None:
        yield from _renewed(client, present, mirror.tracking_uri)
    if present is not None and present.tags.get(TRIAL_KEY) == spec.key:
        yield f"{name} version {present.version} stays champion (the same {spec.title})"
        return
    new = _version_of(client, name, spec.key)
    if present is None:
        won, why = True, "the first"
    elif new is not None and (decided := _taken_back(present, new)):
        won, why = False, decided
    else:
        won, why = _beats(mirror, present, candidate)
    if not won:
        assert present is not None  # noqa: S101  (or it would have won)
        yield (
            f"{name} version {present.version} stays champion: {why}. By hand: poise promote "
            f'{name} {mirror.run_id(spec.key)} --reason "..."'
        )
        return
    new = new or _register(mirror, name, candidate)
    yield from _renewed(client, new, mirror.tracking_uri)
    crown(client, new, _AUTOMATIC, f"{why}; validation score {candidate.score:.3f}")
    yield (
        f"{name} version {new.version} is champion: {spec.title}, "
        f"validation score {candidate.score:.3f} ({why})"
    )


def _beats(mirror: MlflowMirror, present: ModelVersion, candidate: Candidate) -> tuple[bool, str]:
    """Say whether a trial is better than the champion, and why or why not."""
    title = candidate.spec.title
    if any(present.tags.get(key) != value for key, value in candidate.comparable.items()):
        return False, f"{title} was validated on other people or data, so that they do not compare"
    if _SCORE not in present.tags:
        return False, "nobody knows how the champion did on validation"
    before, now = float(present.tags[_SCORE]), candidate.score
    said = f"validation score {now:.3f} of {title} here against {before:.3f}"
    if now >= before:
        return False, said
    theirs = _kept(mirror, present.run_id)
    ours = mirror.sweep.trial(candidate.spec.key).validated()
    mine, other = candidate.scores(ours), candidate.scores(theirs)
    found = difference(mine, other, "mpjpe") if mine and other else None
    if found is None:
        return False, f"{said}, but how both did sequence by sequence was not kept"
    if found.high < 0:
        return True, f"{said}, {_in_words(found)}: more than chance explains"
    return False, f"{said}, {_in_words(found)}: chance may explain it"


def _kept(mirror: MlflowMirror, run_id: str) -> list[Scored]:
    """Return the validation metrics per sequence of a run; none of runs of earlier versions."""
    with tempfile.TemporaryDirectory() as scratch:
        file = fetch_file(mirror.client, run_id, "validation.csv", Path(scratch))
        return [] if file is None else from_csv(read_text(file))


def _taken_back(present: ModelVersion, version: ModelVersion) -> str:
    """Say who put another in the place of a version that was champion; empty if nobody did."""
    last = promotions(present)[-1:]
    if not promotions(version) or not last or last[0].by == _AUTOMATIC:
        return ""
    return f"{last[0].by} preferred it to version {version.version} ({last[0].reason})"


def _in_words(found: Interval) -> str:
    low, high = found.low, found.high
    return f"a difference of {found.difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def _register(mirror: MlflowMirror, name: str, candidate: Candidate) -> ModelVersion:
    spec = candidate.spec
    tags = {
        **candidate.comparable,
        TRIAL_KEY: spec.key,
        _SCORE: repr(candidate.score),
        "poise.refiner": spec.refiner,
    }
    row = candidate.result.row
    if row is not None and row.retrieval:
        tags[RETRIEVAL] = row.retrieval
    checkpoint = mirror.sweep.trial(spec.key).checkpoint
    return register(mirror.client, name, mirror.run_id(spec.key), checkpoint, tags)


def _renewed(client: MlflowClient, version: ModelVersion, tracking_uri: str) -> Iterator[str]:
    if renew_package(client, version, tracking_uri):
        yield (
            f"{version.name} version {version.version} is from an earlier Poise: it was packed "
            "again, so that mlflow.pyfunc.load_model opens it"
        )


def _version_of(client: MlflowClient, name: str, key: str) -> ModelVersion | None:
    return next((one for one in versions(client, name) if one.tags.get(TRIAL_KEY) == key), None)
