"""Errors by action, and tables whose ground says how large a figure is."""

import math
from collections.abc import Mapping, Sequence

from poise.evaluation.metrics import PoseErrors, pool
from poise.evaluation.tables import metric_names
from poise.report.pages.document import Block, Cell, Table, Text
from poise.report.results import Row, whole
from poise.report.sweeps.trials import Method

#: So many methods are looked at more closely, and so many actions.
MOST_METHODS = 10
_FEWEST_ACTIONS, _MOST_ACTIONS = 2, 60


def telling(rows: Sequence[Row]) -> list[Row]:
    """Return the whole rows worth a closer look: the input, the best filter, what learns best."""
    shown = [row for row in whole(rows) if row.method]
    filters = [row for row in shown if not (_is_input(row) or row.stands_out)]
    best = min(filters, key=lambda row: row.mean("mpjpe"), default=None)
    found = [row for row in shown if _is_input(row) or row.stands_out or row is best]
    order = sorted(found, key=lambda row: (not _is_input(row), row.mean("mpjpe")))
    kept = [id(row) for row in order[:MOST_METHODS]]
    return [row for row in found if id(row) in kept]


def _is_input(row: Row) -> bool:
    return row.method is not None and row.method.refiner == "input"


def action_blocks(rows: Sequence[Row]) -> list[Block]:
    """Return MPJPE by action, where the names of sequences tell it."""
    chosen = [(row, row.method) for row in telling(rows) if row.method]
    columns = {row.title: _by_action(method) for row, method in chosen}
    names = sorted({name for column in columns.values() for name in column})
    if not _FEWEST_ACTIONS <= len(names) <= _MOST_ACTIONS:
        return []
    values = {name: [column.get(name, math.nan) for column in columns.values()] for name in names}
    unit = next(row.line.unit for row in rows if row.line)
    said = Text(f"{metric_names(unit)[0]}, all seeds and folds; the darker, the larger.")
    return [said, heat_table("Action", list(columns), values)]


def _by_action(method: Method) -> dict[str, float]:
    """Pool the sequences of a method by action: the second of a name's at least three parts."""
    found: dict[str, list[PoseErrors]] = {}
    for entry in method.entries:
        for one in entry.sequences:
            parts = one.name.split("/")
            if len(parts) > 2 and one.errors.frames:
                found.setdefault(parts[1], []).append(one.errors)
    return {name: pool(errors).mpjpe for name, errors in found.items()}


def heat_table(
    what: str, header: Sequence[str], values: Mapping[str, Sequence[float]], digits: int = 1
) -> Table:
    """Return figures on grounds that are the darker the larger they are.

    Args:
        what: the rows are.
        header: names of the columns.
        values: of each row; NaN where nothing is known.
        digits: behind the point.
    """
    known = [value for row in values.values() for value in row if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)

    def cell(value: float) -> Cell:
        if not math.isfinite(value):
            return Cell("–")
        return Cell(f"{value:.{digits}f}", shade=(value - low) / ((high - low) or 1.0))

    body = [[Cell(name), *map(cell, row)] for name, row in values.items()]
    return Table([what, *header], body)
