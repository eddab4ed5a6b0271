"""How ``poise sweep --dry-run`` is printed and written."""

from collections.abc import Sequence
from typing import Any

from poise.cli.shared.output import print_table, say
from poise.experiments.submission.outlook import Outlook, TrialOutlook

_HEADER = ("Track", "Refiner", "Trials", "Done", "Failed", "To run", "Training", "Hours")


def print_outlook(found: Outlook, tried: str = "") -> None:
    """Print tracks, grid, what of it is done, how long the rest takes, and what is missing.

    Args:
        found: a plan's grid; of a search one trial of it, as if nothing were drawn.
        tried: how far a search is; empty of others.
    """
    plan, wanted = found.plan, found.plan.resources
    gpu = f" and {wanted.gpu:g} GPU" if wanted.gpu else ""
    if plan.search is None:
        seeds = f"seeds {', '.join(map(str, plan.seeds))} of networks"
        what = f"{len(found.trials)} trials, each on {wanted.cpu:g} CPU{gpu}; {seeds}"
    else:
        what = f"{plan.search}; each on {wanted.cpu:g} CPU{gpu}, of seed {plan.seeds[0]}"
    say(f"plan {plan.name}: {what}; records in {found.sweep}")
    print()
    header = ("Track", "Windows to train on", "Frames to test", "Data")
    rows = [[t.track, _count(t.windows), _count(t.frames), t.where] for t in found.tracks]
    print_table(header, rows, (0, 3))
    print()
    if tried:
        say(f"each trial: {_training(found.trials[0])}")
        say(tried)
    else:
        _print_grid(found)
    for missing in found.missing:
        say(f"missing: {missing}")


def _print_grid(found: Outlook) -> None:
    selected = [trial for trial in found.trials if trial.selected]
    print_table(_HEADER, [_row(group) for group in _groups(selected)], (0, 1, 6))
    if len(selected) < len(found.trials):
        say(f"{len(found.trials) - len(selected)} trials are not selected")
    print()
    say(_sum(found))


def as_json(found: Outlook) -> list[dict[str, Any]]:
    """Return an object for each trial, as ``--json`` writes them."""
    return [
        {
            "key": trial.spec.key,
            "trial": trial.spec.name,
            "state": trial.state,
            "selected": trial.selected,
            "runs": trial.runs,
            "seconds": trial.seconds,
            "windows_an_epoch": trial.windows,
            "epochs": trial.spec.budget and trial.spec.budget.epochs,
        }
        for trial in found.trials
    ]


def _groups(trials: Sequence[TrialOutlook]) -> list[list[TrialOutlook]]:
    groups: dict[tuple[str, str], list[TrialOutlook]] = {}
    for trial in trials:
        groups.setdefault((trial.spec.track, trial.spec.title), []).append(trial)
    return list(groups.values())


def _row(group: Sequence[TrialOutlook]) -> list[str]:
    first = group[0].spec
    states = [trial.state for trial in group]
    done = states.count("finished") + states.count("stopped")
    runs = [trial for trial in group if trial.runs]
    return [
        first.track,
        first.title,
        str(len(group)),
        str(done),
        str(states.count("failed")),
        str(len(runs)),
        _training(group[0]),
        _hours(runs) if runs else "",
    ]


def _training(trial: TrialOutlook) -> str:
    budget = trial.spec.budget
    if budget is None:
        return ""
    if trial.windows is None:
        return f"{budget.epochs} epochs of all windows"
    steps = -(-trial.windows // budget.batch)
    twice = ", twice" if trial.spec.refit else ""
    return f"{budget.epochs} x {steps:,} batches of {budget.batch:,}{twice}"


def _hours(trials: Sequence[TrialOutlook]) -> str:
    known = [trial.seconds for trial in trials if trial.seconds is not None]
    return f"{sum(known) / 3600:.2f}" if len(known) == len(trials) else "no rate yet"


def _sum(found: Outlook) -> str:
    runs = found.running
    if not runs:
        return "nothing to run"
    known = [trial.seconds for trial in runs if trial.seconds is not None]
    hours = sum(known) / 3600
    parts = [f"{len(runs)} trials to run"]
    if known:
        parts.append(
            f"{len(known)} of them take {hours:.1f} hours in all, by what such trials took before"
        )
        if found.at_once:
            parts.append(f"with {found.at_once} at once here {hours / found.at_once:.1f} hours")
    if len(known) < len(runs):
        batches = sum(_batches(trial) for trial in runs if trial.seconds is None)
        parts.append(
            f"for {len(runs) - len(known)} there is no rate yet, since none like them has "
            "finished" + (f": {batches:,} batches" if batches else "")
        )
    return "; ".join(parts)


def _batches(trial: TrialOutlook) -> int:
    """Return how many batches a trial trains on in all; 0 where nobody knows yet."""
    budget = trial.spec.budget
    if budget is None or trial.windows is None:
        return 0
    return -(-trial.windows // budget.batch) * budget.epochs * (2 if trial.spec.refit else 1)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
