"""What a search found: its trials as a table, and the best of them as a plan of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import unit_of
from poise.evaluation.paired import Interval, Run, Runs, difference
from poise.evaluation.scored import Scored
from poise.experiments.plan import Plan
from poise.experiments.records import SweepFolder
from poise.experiments.search.points import Points, short, words
from poise.experiments.search.trials import Tried


@dataclass(frozen=True)
class Best:
    """The best trial of a search.

    Attributes:
        score: on the validation subjects; see `poise.experiments.records.TrialResult`.
        interval: of the score, over the sequences of the validation subjects; None where the trial
            was stopped before these were kept.
        lead: how much smaller it is than the score of the next, over the same; None alike.
    """

    tried: Tried
    score: float
    interval: Interval | None
    lead: Interval | None

    def __str__(self) -> str:
        people = ", ".join(self.tried.result.held_out) if self.tried.result else ""
        parts = [f"best: {words(self.tried.values)}: validation score {self.score:.4f}"]
        if self.interval is not None:
            parts.append(f" [{self.interval.low:.4f}, {self.interval.high:.4f}]")
        if people:
            parts.append(f" on {people}")
        if self.lead is not None:
            told = "by more than chance" if self.lead.excludes_zero else "which may be chance"
            parts.append(f"; the next is {-self.lead.difference:.4f} worse, {told}")
        return "".join(parts)


def ranked(tried: Sequence[Tried]) -> list[Tried]:
    """Return the trials that ended and have a score, best first."""
    ended = [one for one in tried if one.result is not None and one.best is not None]
    return sorted(ended, key=lambda one: one.best or 0.0)


def best_of(sweep: SweepFolder, tried: Sequence[Tried]) -> Best | None:
    """Return the best trial; None where none has a score."""
    order = ranked(tried)
    if not order or order[0].best is None:
        return None
    first = _scores(sweep, order[0])
    interval = lead = None
    if first:
        zero = [replace(one, errors=replace(one.errors, mpjpe=0.0)) for one in first]
        interval = _difference(first, zero)
        rival = _scores(sweep, order[1]) if len(order) > 1 else []
        lead = _difference(first, rival) if rival else None
    return Best(order[0], order[0].best, interval, lead)


def table(tried: Sequence[Tried]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of all trials, best first, then the others in their order."""
    order = ranked(tried)
    others = [one for one in tried if one not in order]
    names = [name for some in (tried[0].values if tried else {}).values() for name in some]
    unit = unit_of(Track.parse(tried[0].spec.track)) if tried else ""
    header = ["", *names, "Score", f"MPJPE {unit}".strip(), "Accel", "Epochs", "Ended"]
    rows = []
    for place, one in enumerate([*order, *others], 1):
        values = [short(value) for some in one.values.values() for value in some.values()]
        rows.append([str(place), *values, *_numbers(one)])
    return header, rows


def best_plan(points: Points, best: Best, name: str) -> Plan:
    """Return the plan of the best settings: all seeds of the search's plan, and its test split."""
    part = points.changed(best.tried.values, f"best of {name}")
    plan = points.plan
    found = plan.model_copy(update={"name": f"{name}-best", "refiners": (part,), "search": None})
    return Plan.model_validate(found.model_dump())


def best_text(plan: Plan, best: Best, command: str) -> str:
    """Return a plan as a YAML file, with a line on where it comes from."""
    content = plan.model_dump(mode="json", exclude_defaults=True)
    said = str(best).replace("\n", " ")
    return (
        f"# Written by a search; its trials never saw the test split.\n# {said}\n"
        f"# Train and test it: {command}\n"
        + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    )


def table_text(tried: Sequence[Tried]) -> str:
    """Return the trials as Markdown."""
    header, rows = table(tried)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _numbers(one: Tried) -> list[str]:
    result = one.result
    ended = "open" if result is None else result.status
    if one.best is None or result is None:
        return [*["–"] * 3, str(len(one.scores)), ended]
    known = result.validation or {}
    errors = [f"{known[name]:.2f}" if name in known else "–" for name in ("mpjpe", "accel")]
    return [f"{one.best:.4f}", *errors, str(len(one.scores)), ended]


def _scores(sweep: SweepFolder, one: Tried) -> list[Scored]:
    """Return the score of every validation sequence, in the place of its MPJPE."""
    known = one.result.validation if one.result is not None else None
    if known is None:
        return []
    found = []
    for sequence in sweep.trial(one.spec.key).validated():
        errors = sequence.errors
        score = (errors.mpjpe / known["input_mpjpe"] + errors.accel / known["input_accel"]) / 2
        found.append(replace(sequence, errors=replace(errors, mpjpe=score)))
    return found


def _difference(one: Sequence[Scored], other: Sequence[Scored]) -> Interval | None:
    return difference(Runs.of([Run(0, 0, one)]), Runs.of([Run(0, 0, other)]), "mpjpe")
