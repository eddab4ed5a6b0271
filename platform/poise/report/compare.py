"""Two sweeps beside each other: what changed, and whether it is more than chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from poise.evaluation.paired import difference, what_is_drawn
from poise.evaluation.tables import metric_names
from poise.report.made import code_of, of_report
from poise.report.pages.document import Block, Cell, Document, Items, Section, Table, Terms, Text
from poise.report.paper import published
from poise.report.results import Row, rows_of, signed
from poise.report.sweeps.trials import Sweep

_METRICS = ("mpjpe", "pa_mpjpe", "accel")
_Key = tuple[str, str]


def comparison(one: Sweep, other: Sweep, command: str) -> Document:
    """Return what changed from one sweep to another.

    Args:
        one: the first.
        other: the second, whose figures stand behind the arrows.
        command: that asked for it.
    """
    tracks = list(dict.fromkeys([*one.tracks, *other.tracks]))
    sections = [Section(track, list(_of_track(track, one, other))) for track in tracks]
    made = [Terms([*_origin(one, other), *of_report(command)])]
    changed = _plans(one, other)
    if changed:
        sections.append(Section("Plans", [Items(changed)]))
    sections.append(Section("How it was made", made))
    return Document(
        f"{one.name} → {other.name}",
        f"What changed from {one.where} to {other.where}, on the sequences that both have.",
        sections,
    )


def _of_track(track: str, one: Sweep, other: Sweep) -> Iterator[Block]:
    before, after = _rows(track, one), _rows(track, other)
    both = [key for key in before if key in after]
    if both:
        yield from _table([(before[key], after[key]) for key in both])
    for sweep, mine, theirs in ((one, before, after), (other, after, before)):
        alone = [row.title for key, row in mine.items() if key not in theirs]
        if alone:
            yield Text(f"Only in {sweep.name}: {', '.join(alone)}.")
    if not both:
        yield Text("No refiner finished in both.")


def _rows(track: str, sweep: Sweep) -> Mapping[_Key, Row]:
    """Return the rows of a track that have figures, by what makes them the same cell."""
    tables = rows_of(track, sweep.methods(track), published(track, ""))
    return {
        (row.method.refiner, row.method.label): row
        for rows in tables.values()
        for row in rows
        if row.line and row.method
    }


def _table(pairs: Sequence[tuple[Row, Row]]) -> Iterator[Block]:
    unit = next(row.line.unit for row, _ in pairs if row.line)
    body = [
        [
            Cell(after.title, _unfinished(before, after)),
            *(_change(before, after, metric) for metric in _METRICS),
            Cell("; ".join(_settings(before, after)) or "nothing"),
        ]
        for before, after in pairs
    ]
    drawn = what_is_drawn([row.runs for pair in pairs for row in pair])
    yield Table(
        ["Refiner", *metric_names(unit), "settings that changed"],
        body,
        left=(0, 4),
        notes=[
            "By how much errors grew, on the sequences of both, and its 95 % interval. Bold: "
            "more than chance. Means are those of each sweep's own table.",
            f"{drawn}.",
        ],
    )


def _change(before: Row, after: Row, metric: str) -> Cell:
    old, new = before.mean(metric), after.mean(metric)
    if not (math.isfinite(old) and math.isfinite(new)):
        return Cell("–")
    means = f"means {old:.2f} → {new:.2f}"
    gap = difference(after.runs, before.runs, metric)
    if gap is None:
        return Cell(signed(new - old), f"no sequence in both; {means}")
    if gap.low == gap.high == gap.difference == 0:
        return Cell("the same", means)
    sure = gap.excludes_zero
    word = ("better" if gap.difference < 0 else "worse") if sure else "may be chance"
    ends = f"{signed(gap.low)} to {signed(gap.high)}"
    return Cell(signed(gap.difference), f"{ends}, {word}; {means}", bold=sure)


def _unfinished(before: Row, after: Row) -> str:
    said = [row.method.progress for row in (before, after) if row.method]
    return "" if not any(said) else " → ".join(text or "all trials" for text in said)


def _settings(before: Row, after: Row) -> list[str]:
    """Name what a refiner was given otherwise: data, settings, budget."""
    specs = [row.method.trials[0].spec for row in (before, after) if row.method]
    old, new = (
        {
            "data": spec.manifest,
            **spec.settings,
            **({} if spec.budget is None else asdict(spec.budget)),
            "folds": spec.fold.of if spec.fold else None,
            "refit": spec.refit,
        }
        for spec in specs
    )
    return _changes(old, new)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*old, *new])
    return [
        f"{name} {old.get(name, '–')} → {new.get(name, '–')}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _plans(one: Sweep, other: Sweep) -> list[str]:
    """Name the parts of the plan that differ, except refiners, which have a column."""
    skipped = ("name", "refiners", "overrides")
    old, new = (
        {key: value for key, value in sweep.plan.items() if key not in skipped}
        for sweep in (one, other)
    )
    return _changes(old, new)


def _origin(one: Sweep, other: Sweep) -> list[tuple[str, str]]:
    return [
        (sweep.name, f"{sweep.where}, {code_of(sweep)}, {len(sweep.finished)} of "
                     f"{len(sweep.trials)} trials finished")
        for sweep in (one, other)
    ]  # fmt: skip
