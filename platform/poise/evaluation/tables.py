"""Tables like the paper's Table I: rows are refiners, columns MPJPE, PA-MPJPE and Accel.

Below stands by how much each refiner differs from the best, on the same sequences.
"""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import DEGREES
from poise.evaluation.paired import Interval, Run, Runs, difference, what_is_drawn
from poise.evaluation.scored import Scored, by_person
from poise_models import catalogue
from poise_models.filters.linear import Linear

_NOTHING: Mapping[str, str] = MappingProxyType({})
METRICS = ("mpjpe", "pa_mpjpe", "accel")
_NAMES = ("MPJPE", "PA-MPJPE", "Accel")
#: Of rotations: mean per joint angle error.
_ANGLE_NAMES = ("MPJAE", "PA-MPJAE", "Accel")
_WITHOUT_RETRIEVAL = (
    "without retrieval means that the refiner reads neighbours from the PVD and there was none: "
    "every window stood in for its own neighbour, at distance 1"
)


@dataclass(frozen=True)
class Entry:
    """A row of results, and what a table says about its refiner beside the name.

    Attributes:
        fold: of a cross-validation; None where the track's own test split was scored.
        sequences: behind the row; none where nobody compares them.
    """

    row: Row
    label: str = ""
    epochs: int | None = None
    fold: int | None = None
    sequences: Sequence[Scored] = ()

    @property
    def size(self) -> str:
        """Weights and training length, for example ``1.2 M weights, 30 epochs``.

        A refiner that reads neighbours and had none is said to be ``without retrieval``.
        """
        parts = [f"{_short(self.row.params)} weights"] if self.row.params else []
        if parts and self.epochs is not None and catalogue.trains(self.row.refiner):
            parts.append(f"{self.epochs} epochs")
        if self.row.retrieval == "unavailable":
            parts.append("without retrieval")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the row's fields, with label, epochs, fold, and errors by person."""
        people = {name: asdict(errors) for name, errors in by_person(self.sequences).items()}
        return {**self.plain(), "people": people}

    def people(self) -> list[dict[str, Any]]:
        """Return errors by person, each with what it is a row of."""
        of = {name: self.plain()[name] for name in ("track", "refiner", "label", "seed", "fold")}
        return [
            {**of, "subject": name, **asdict(errors)}
            for name, errors in by_person(self.sequences).items()
        ]

    def plain(self) -> dict[str, Any]:
        """Return the row's fields, with label, epochs and fold."""
        own = {"label": self.label, "epochs": self.epochs, "fold": self.fold}
        return {**self.row.to_json(), **own}


@dataclass(frozen=True)
class Cell:
    """One metric of one refiner: the mean over its folds and seeds, and their standard deviation.

    ``best`` is smaller than the next best by more than chance. ``behind`` is by how much it is
    larger than the smallest of the column; None of that itself, and where nothing tells.
    """

    mean: float
    spread: float | None
    best: bool = False
    behind: Interval | None = None

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:.2f}" if self.spread is None else f"{self.mean:.2f} ± {self.spread:.2f}"


@dataclass(frozen=True)
class Line:
    """One refiner of one track, over folds and seeds; ``cells`` are in the order of `METRICS`."""

    refiner: str
    title: str
    size: str
    unit: str
    cells: dict[str, Cell]
    runs: Runs = field(default_factory=lambda: Runs({}))
    folds: int = 1


@dataclass(frozen=True)
class ResultTable:
    """The results of one track as texts, for whatever prints them.

    Attributes:
        best: row and column of the cells that are better than the next best by more than chance.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]]
    notes: list[str]


def lines(entries: Sequence[Entry]) -> dict[str, list[Line]]:
    """Return each track's refiners in catalogue order, best cells marked; tracks as they appear.

    A track some of whose rows are in another unit (SMPL with and without body model) has a table
    for each.
    """
    return {name: _lines(group) for name, group in _tables(entries).items()}


def metric_names(unit: str) -> tuple[str, ...]:
    """Return the names of `METRICS` where errors are in a unit, as a table's header has them."""
    names = _ANGLE_NAMES if unit == DEGREES else _NAMES
    if not unit:
        return names
    units = (unit, unit, f"{unit}/frame²")
    return tuple(f"{name} {suffix}" for name, suffix in zip(names, units, strict=True))


def result_tables(entries: Sequence[Entry]) -> list[ResultTable]:
    """Return a table for each of `lines`, in the same order, each with its differences."""
    tables = []
    for name, group in _tables(entries).items():
        table = _lines(group)
        tables.append(
            ResultTable(
                caption=f"{name}, {_frames(group)}",
                header=["Refiner", *metric_names(table[0].unit), "Size"],
                rows=[[line.title, *map(str, line.cells.values()), line.size] for line in table],
                best={
                    (row, column)
                    for row, line in enumerate(table)
                    for column, cell in enumerate(line.cells.values(), start=1)
                    if cell.best
                },
                notes=[*notes_on(group), *_losers(table)],
            )
        )
        tables += _differences(name, table)
    return tables


def absent_tables(absent: Mapping[str, str]) -> list[ResultTable]:
    """Return a table of the tracks that have no rows, and why; none where all have."""
    rows = [[track, reason] for track, reason in absent.items()]
    return [ResultTable("Tracks without rows", ["Track", "Why"], rows, set(), [])] if rows else []


def markdown(entries: Sequence[Entry], absent: Mapping[str, str] = _NOTHING) -> str:
    """Return the tables as Markdown, the best of each column in bold, and the absent tracks."""
    blocks = []
    for table in [*result_tables(entries), *absent_tables(absent)]:
        numbers = len(METRICS) if len(table.header) > len(METRICS) else 0
        ruler = ["---", *["---:"] * numbers, "---"][: len(table.header)]
        body = [
            [f"**{cell}**" if (row, column) in table.best else cell for column, cell in some]
            for row, some in enumerate(map(enumerate, table.rows))
        ]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in (table.header, ruler, *body))
        notes = "".join(f"\n{note}\n" for note in table.notes)
        blocks.append(f"### {table.caption}\n\n{text}\n{notes}")
    return "\n".join(blocks)


def csv_text(entries: Sequence[Entry]) -> str:
    """Return one line of CSV a trial, under the keys of `Entry.to_json` but for its people."""
    return _csv([entry.plain() for entry in entries])


def people_csv(entries: Sequence[Entry]) -> str:
    """Return one line of CSV for each person of each trial."""
    return _csv([row for entry in entries for row in entry.people()])


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _lines(group: Sequence[Entry]) -> list[Line]:
    refiners: dict[tuple[str, str], list[Entry]] = {}
    for entry in group:
        refiners.setdefault((entry.row.refiner, entry.label), []).append(entry)
    order = list(catalogue.names())
    found = [_line(some) for some in refiners.values()]
    return _marked(sorted(found, key=lambda line: order.index(line.refiner)))


def _line(group: Sequence[Entry]) -> Line:
    first = group[0]
    title = catalogue.title(first.row.refiner)
    counts = [
        (len({entry.fold for entry in group}), "folds"),
        (len({entry.row.seed for entry in group}), "seeds"),
    ]
    repeated = [f"{count} {what}" for count, what in counts if count > 1]
    cells = {}
    for metric in METRICS:
        values = [float(getattr(entry.row, metric)) for entry in group]
        spread = statistics.stdev(values) if len(values) > 1 else None
        cells[metric] = Cell(statistics.fmean(values), spread)
    return Line(
        first.row.refiner,
        f"{title} ({first.label})" if first.label else title,
        ", ".join(text for text in (first.size, *repeated) if text),
        _unit(first),
        cells,
        Runs.of([Run(entry.row.seed, entry.fold or 0, entry.sequences) for entry in group]),
        counts[0][0],
    )


def _marked(table: Sequence[Line]) -> list[Line]:
    cells = {metric: _column(table, metric) for metric in METRICS}
    return [
        replace(line, cells={metric: column[place] for metric, column in cells.items()})
        for place, line in enumerate(table)
    ]


def _column(table: Sequence[Line], metric: str) -> list[Cell]:
    cells = [line.cells[metric] for line in table]
    there = [place for place, cell in enumerate(cells) if not math.isnan(cell.mean)]
    most = max(line.folds for line in table)
    ranked = sorted(
        (place for place in there if table[place].folds == most),
        key=lambda place: cells[place].mean,
    )
    for place in there if ranked else ():
        if place != ranked[0]:
            behind = difference(table[place].runs, table[ranked[0]].runs, metric)
            cells[place] = replace(cells[place], behind=behind)
    if len(ranked) > 1:
        behind = cells[ranked[1]].behind
        sure = behind is not None and behind.low > 0
        cells[ranked[0]] = replace(cells[ranked[0]], best=sure)
    return cells


def _differences(name: str, table: Sequence[Line]) -> list[ResultTable]:
    """Return a table of how far each line is behind the best of each column, if any line is."""
    if not any(cell.behind for line in table for cell in line.cells.values()):
        return []
    least = {
        metric: min((line.cells[metric].mean for line in _whole(table)), key=_sortable)
        for metric in METRICS
    }
    rows = [
        [
            line.title,
            *(
                "smallest" if cell.mean == least[metric] else str(cell.behind or "-")
                for metric, cell in line.cells.items()
            ),
        ]
        for line in table
    ]
    return [
        ResultTable(
            caption=f"{name}, larger than the smallest of the column by, with 95 % intervals",
            header=["Refiner", *metric_names(table[0].unit)],
            rows=rows,
            best=set(),
            notes=[f"{what_is_drawn([line.runs for line in table])}."],
        )
    ]


def _frames(group: Sequence[Entry]) -> str:
    folds = {entry.fold: entry.row.frames for entry in group}
    many = f"{len(folds)} folds of its people, " if len(folds) > 1 else ""
    return f"{many}{sum(folds.values()):,} frames"


def _whole(table: Sequence[Line]) -> list[Line]:
    """Return the lines that were run on all folds: the mean of fewer people is of other people."""
    folds = max(line.folds for line in table)
    return [line for line in table if line.folds == folds]


def _sortable(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _tables(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    units: dict[str, set[str]] = {}
    for entry in entries:
        units.setdefault(entry.row.track, set()).add(_unit(entry))
    tables: dict[str, list[Entry]] = {}
    for track, several in units.items():
        for entry in entries:
            if entry.row.track == track:
                name = f"{track} in {_unit(entry)}" if len(several) > 1 else track
                tables.setdefault(name, []).append(entry)
    return tables


def _unit(entry: Entry) -> str:
    return entry.row.unit or Track.parse(entry.row.track).info.unit


def notes_on(group: Sequence[Entry]) -> list[str]:
    """Return what a reader of a table must know beside its numbers."""
    notes = [entry.row.note for entry in group]
    if any(entry.row.retrieval == "unavailable" for entry in group):
        notes.append(_WITHOUT_RETRIEVAL)
    return [f"Note: {note}." for note in dict.fromkeys(notes) if note]


def _losers(table: Sequence[Line]) -> list[str]:
    """Name the networks whose MPJPE is larger than the closed form's, which each could learn."""
    found = [(line.cells["mpjpe"].mean, line) for line in _whole(table)]
    yardsticks = [one for one in found if one[1].refiner == Linear.name]
    if not yardsticks:
        return []
    aim, yardstick = min(yardsticks, key=lambda one: one[0])
    column = metric_names(yardstick.unit)[0]
    return [
        f"Note: {line.title} loses to {yardstick.title} ({mpjpe:.2f} against {aim:.2f} in "
        f"{column}): it is not trained enough."
        for mpjpe, line in found
        if catalogue.trains(line.refiner) and mpjpe > aim
    ]


def _short(count: int) -> str:
    for scale, suffix in ((1_000_000, "M"), (1_000, "k")):
        if count >= scale:
            return f"{count / scale:.3g} {suffix}"
    return str(count)
