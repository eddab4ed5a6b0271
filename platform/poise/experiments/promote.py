"""The best network of each track becomes the champion of its registered model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from poise.catalog.tracks import Track
from poise.checkpoints.registry import CHAMPION, find_version, model_name, register, renew_package
from poise.experiments.grid import TrialSpec
from poise.experiments.mlflow_mirror import RETRIEVAL, MlflowMirror
from poise.experiments.records import TrialResult
from poise.experiments.tracking.facts import TRIAL_KEY

_MANIFEST, _SCORE, _HELD_OUT = "poise.lake_manifest", "poise.score", "poise.held_out"


@dataclass(frozen=True)
class Candidate:
    """A trial that was validated, and may become champion."""

    spec: TrialSpec
    result: TrialResult

    @property
    def score(self) -> float:
        """On the validation subjects; smaller is better."""
        return (self.result.validation or {})["score"]

    @property
    def comparable(self) -> dict[str, str]:
        """What two trials must share for their scores to compare: data and held-out subjects."""
        return {_MANIFEST: self.spec.manifest, _HELD_OUT: ", ".join(self.result.held_out)}


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
    """Make a finished trial the champion of its track, unless the present one is better.

    Two trials compare only if both were validated on the same subjects of the same data; a
    champion of other data gives way.

    Args:
        mirror: has published the trial.
        candidate: the trial.

    Yields:
        Sentences about what happened.
    """
    spec, client = candidate.spec, mirror.client
    name = model_name(Track.parse(spec.track))
    present = find_version(client, name)
    stays = _why_it_stays(present, candidate)
    if present is not None and stays:
        yield f"{name} version {present.version} stays champion{stays}"
        yield from _renewed(client, present, mirror.tracking_uri)
        return
    new = _version_of(client, name, spec.key) or _register(mirror, name, candidate)
    yield from _renewed(client, new, mirror.tracking_uri)
    client.set_registered_model_alias(name, CHAMPION, new.version)
    yield (
        f"{name} version {new.version} is champion: {spec.title}, "
        f"validation score {candidate.score:.3f}"
    )


def _why_it_stays(present: ModelVersion | None, candidate: Candidate) -> str:
    """Return the rest of a sentence; empty where the present champion gives way."""
    if present is None:
        return ""
    if present.tags.get(TRIAL_KEY) == candidate.spec.key:
        return f" (the same {candidate.spec.title})"
    if any(present.tags.get(key) != value for key, value in candidate.comparable.items()):
        return ""
    before = float(present.tags[_SCORE])
    if before > candidate.score:
        return ""
    return f": validation score {before:.3f}, {candidate.spec.title} here has {candidate.score:.3f}"


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
    versions = client.search_model_versions(f"name='{name}'")
    return next((v for v in versions if v.tags.get(TRIAL_KEY) == key), None)
