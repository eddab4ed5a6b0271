"""Tables like the paper's Table I: rows are refiners, columns MPJPE, PA-MPJPE and Accel."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import DEGREES
from poise_models import catalogue
from poise_models.filters.linear import Linear

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
    """A row of results, and what a table says about its refiner beside the name."""

    row: Row
    label: str = ""
    epochs: int | None = None

    @property
    def size(self) -> str:
        """Weights and training length, for example ``1.2 M weights, 30 epochs``.

        A refiner that reads neighbours and had none is said to be ``without retrieval``.
        """
        parts = [f"{_short(self.row.params)} weights"] if self.row.params else []
        if parts and self.epochs is not None:
            parts.append(f"{self.epochs} epochs")
        if self.row.retrieval == "unavailable":
            parts.append("without retrieval")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the row's fields, with label and epochs, as a dictionary."""
        return {**self.row.to_json(), "label": self.label, "epochs": self.epochs}


@dataclass(frozen=True)
class Cell:
    """One metric of one refiner: the mean over its seeds, and their standard deviation."""

    mean: float
    spread: float | None
    best: bool = False

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:.2f}" if self.spread is None else f"{self.mean:.2f} ± {self.spread:.2f}"


@dataclass(frozen=True)
class Line:
    """One refiner of one track, over all its seeds; ``cells`` are in the order of `METRICS`."""

    refiner: str
    title: str
    size: str
    unit: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class ResultTable:
    """The results of one track as texts, for whatever prints them.

    Attributes:
        best: row and column of the best cell of each column, and of those that print alike.
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
    """Return a table for each of `lines`, in the same order."""
    tables = []
    for name, group in _tables(entries).items():
        table = _lines(group)
        tables.append(
            ResultTable(
                caption=f"{name}, {group[0].row.frames:,} frames",
                header=["Refiner", *metric_names(table[0].unit), "Size"],
                rows=[[line.title, *map(str, line.cells.values()), line.size] for line in table],
                best={
                    (row, column)
                    for row, line in enumerate(table)
                    for column, cell in enumerate(line.cells.values(), start=1)
                    if cell.best
                },
                notes=[*_notes(group), *_losers(table)],
            )
        )
    return tables


def markdown(entries: Sequence[Entry]) -> str:
    """Return the tables as Markdown, the best of each column in bold."""
    blocks = []
    for table in result_tables(entries):
        ruler = ["---", *["---:"] * len(METRICS), "---"]
        body = [
            [f"**{cell}**" if (row, column) in table.best else cell for column, cell in some]
            for row, some in enumerate(map(enumerate, table.rows))
        ]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in (table.header, ruler, *body))
        notes = "".join(f"\n{note}\n" for note in table.notes)
        blocks.append(f"### {table.caption}\n\n{text}\n{notes}")
    return "\n".join(blocks)


def csv_text(entries: Sequence[Entry]) -> str:
    """Return one line of CSV a trial, under the keys of `Entry.to_json`."""
    if not entries:
        return ""
    out = io.StringIO()
    plain = [entry.to_json() for entry in entries]
    writer = csv.DictWriter(out, plain[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
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
    seeds = f"{len(group)} seeds" if len(group) > 1 else ""
    cells = {}
    for metric in METRICS:
        values = [float(getattr(entry.row, metric)) for entry in group]
        spread = statistics.stdev(values) if len(values) > 1 else None
        cells[metric] = Cell(statistics.fmean(values), spread)
    return Line(
        first.row.refiner,
        f"{title} ({first.label})" if first.label else title,
        ", ".join(text for text in (first.size, seeds) if text),
        _unit(first),
        cells,
    )


def _marked(table: Sequence[Line]) -> list[Line]:
    # What prints the same is equally good.
    best = {
        metric: min((f"{line.cells[metric].mean:.2f}" for line in table), key=_sortable)
        for metric in METRICS
    }
    return [
        replace(
            line,
            cells={
                metric: replace(cell, best=f"{cell.mean:.2f}" == best[metric] != "nan")
                for metric, cell in line.cells.items()
            },
        )
        for line in table
    ]


def _sortable(text: str) -> float:
    value = float(text)
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


def _notes(group: Sequence[Entry]) -> list[str]:
    notes = [entry.row.note for entry in group]
    if any(entry.row.retrieval == "unavailable" for entry in group):
        notes.append(_WITHOUT_RETRIEVAL)
    return [f"Note: {note}." for note in dict.fromkeys(notes) if note]


def _losers(table: Sequence[Line]) -> list[str]:
    """Name the networks whose MPJPE is larger than the closed form's, which each could learn."""
    found = [(line.cells["mpjpe"].mean, line) for line in table]
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
