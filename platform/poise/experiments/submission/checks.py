"""Everything that is wrong with a submission, before anything starts."""

from collections.abc import Iterator, Mapping

from poise.catalog.tracks import Track
from poise.experiments.grid import Fold, GridError, TrialSpec, grid
from poise.experiments.plan import Plan
from poise.experiments.submission.selection import Selection
from poise.experiments.trial_data import fold_people, held_out
from poise.lake.manifest import Manifest, manifest_hash
from poise.runtime.errors import PlanError


def checked_grid(
    plan: Plan, manifests: Mapping[str, Manifest], selection: Selection
) -> list[TrialSpec]:
    """Return all trials of a plan, in its order, selected or not.

    Args:
        plan: the plan.
        manifests: of its tracks that are in the lake; trials of others have an empty manifest, and
            so a key that no run has.
        selection: what is to be run, to see that there is such a thing.

    Raises:
        GridError: the grid makes no sense, subjects that the plan holds out are not there, or
            people for its folds, or nothing fits what is selected; the message has all of it.
    """
    hashes = dict.fromkeys(plan.tracks, "")
    hashes |= {track: manifest_hash(found) for track, found in manifests.items()}
    specs: list[TrialSpec] = []
    problems: list[str] = []
    try:
        specs = grid(plan, hashes)
    except GridError as error:
        problems += error.problems
    problems += _people_problems(plan, manifests)
    problems += selection.problems(specs) if specs else ()
    if problems:
        raise GridError(plan.name, problems)
    return specs


def _people_problems(plan: Plan, manifests: Mapping[str, Manifest]) -> Iterator[str]:
    named, folds = plan.validation.subjects, plan.validation.folds
    for track, manifest in manifests.items():
        try:
            if named != "auto" and "train" in manifest.splits:
                held_out(named, Track.parse(track), manifest.splits["train"].subjects)
            if folds:
                people = {name for split in manifest.splits.values() for name in split.subjects}
                fold_people(Fold(1, folds), Track.parse(track), people)
        except PlanError as error:
            yield str(error)
