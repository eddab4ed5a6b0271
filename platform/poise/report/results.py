"""A track's table, with the published figures, the spread, and what can be told apart."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poise.catalog.published import PublishedRow
from poise.evaluation.paired import Interval, Runs, difference, what_is_drawn
from poise.evaluation.tables import METRICS, Line, lines, metric_names, notes_on
from poise.report.pages.document import Block, Cell, Items, Table, Text, cells
from poise.report.paper import Paper, title_of
from poise.report.sweeps.trials import Method
from poise_models import catalogue
from poise_models.filters.linear import Linear
from poise_models.general.shipped import ShippedGeneral


@dataclass(frozen=True)
class Row:
    """A row of a track's table: ours, the paper's, or both.

    Attributes:
        title: of the refiner.
        method: ours; None where the plan has no such row.
        line: its means; None where no trial finished.
        paper: what is published; None where nothing is.
    """

    title: str
    method: Method | None
    line: Line | None
    paper: PublishedRow | None

    @property
    def refiner(self) -> str:
        """Its name; empty where nobody ran it."""
        return "" if self.method is None else self.method.refiner

    @property
    def runs(self) -> Runs:
        """Behind its means; none where it has none."""
        return Runs({}) if self.line is None else self.line.runs

    def mean(self, metric: str) -> float:
        """Return one of its means; infinite where there is none, which is worse than any."""
        value = math.nan if self.line is None else self.line.cells[metric].mean
        return math.inf if math.isnan(value) else value

    @property
    def stands_out(self) -> bool:
        """Whether it has learnt how people move: the closed form, and networks."""
        learnt = (Linear.name, ShippedGeneral.name)
        return self.is_network or (self.method is not None and self.method.refiner in learnt)

    @property
    def is_network(self) -> bool:
        """Whether it learns by gradient."""
        return self.method is not None and catalogue.trains(self.method.refiner)

    @property
    def is_yardstick(self) -> bool:
        """Whether a network must be better: the closed form, and filters at their best."""
        if self.method is None or self.is_network:
            return False
        tuned = any(trial.spec.candidates for trial in self.method.trials)
        return self.method.refiner == Linear.name or tuned


def rows_of(track: str, methods: Sequence[Method], paper: Paper) -> dict[str, list[Row]]:
    """Return the rows of each of a track's tables, which differ in their unit.

    What did not run, and what only the paper has, is in the first.
    """
    entries = [entry for method in methods for entry in method.entries]
    tables = lines(entries) or {track: []}
    titles = {line.title for table in tables.values() for line in table}
    found: dict[str, list[Row]] = {}
    for name, table in tables.items():
        by_title = {line.title: line for line in table}
        found[name] = [
            Row(method.title, method, by_title.get(method.title), paper.of(method))
            for method in methods
            if method.title in by_title or (not found and method.title not in titles)
        ]
        if len(found) == 1 and paper.whole:
            used = [row.paper for row in found[name]]
            found[name] += [
                Row(title_of(row), None, None, row) for row in paper.rows if row not in used
            ]
    return found


def result_blocks(name: str, rows: Sequence[Row], paper: Paper) -> Iterator[Block]:
    """Say what came out on a track: the table, what can be told apart, and the spread."""
    there = [row.line for row in rows if row.line is not None]
    yield main_table(name, rows, paper)
    lost = losers(rows)
    if lost:
        yield Items(lost)
    if any(cell.behind for line in there for cell in line.cells.values()):
        yield _differences(rows)
    spread = _spread(rows)
    if spread is not None:
        yield spread
    reasons = [reason for row in rows if row.method for reason in row.method.reasons]
    if reasons:
        yield Text("Trials without a row:")
        yield Items(reasons)


def main_table(name: str, rows: Sequence[Row], paper: Paper) -> Table:
    """Return the table as the paper has it; below our figures, the published and the difference."""
    unit = next((row.line.unit for row in rows if row.line), "")
    frames = [
        sum(entry.row.frames for entry in method.entries if entry.row.seed == method.seeds[0])
        for method in (row.method for row in rows if row.method)
        if method.entries
    ]
    behind = {row.title for row, _ in _lost(rows)}
    body = [
        [
            Cell(row.title + (" †" if row.title in behind else ""), _state(row)),
            *(_figure(row, metric) for metric in METRICS),
            Cell(row.line.size if row.line else ""),
        ]
        for row in rows
    ]
    notes = ["Bold: smaller than the next best by more than chance (95 % interval of the paired "
             "difference excludes zero). ±: standard deviation over folds and seeds."]  # fmt: skip
    if any(row.paper for row in rows):
        notes.append(f"Below ours: what is published ({paper.source}), and ours minus that.")
        notes += paper.notes
    if behind:
        notes.append("†: a network that loses to a refiner without one, see below the table.")
    entries = [entry for row in rows if row.method for entry in row.method.entries]
    size = f", {max(frames):,} frames" if frames else ""
    return Table(
        ["Refiner", *metric_names(unit), "Size"],
        body,
        left=(0, 4),
        caption=f"{name}{size}",
        notes=[*notes, *notes_on(entries)],
    )


def _state(row: Row) -> str:
    if row.method is None:
        return "not run"
    if row.line is None and not row.method.reasons:
        return row.method.progress or "not run"
    return row.method.progress


def _figure(row: Row, metric: str) -> Cell:
    told = row.paper.metrics.get(metric) if row.paper else None
    ours = row.line.cells[metric] if row.line else None
    if ours is None or math.isnan(ours.mean):
        return Cell("–", "" if told is None else f"paper {told:.2f}")
    small = "" if told is None else f"paper {told:.2f}, {signed(ours.mean - told)}"
    return Cell(str(ours), small, bold=ours.best)


def signed(value: float, digits: int = 2) -> str:
    """Return a difference with its sign, a real minus, and no sign where it rounds to none."""
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return f"±{text}"
    return f"{'+' if value > 0 else '−'}{text}"


def _differences(rows: Sequence[Row]) -> Table:
    shown = [(row, row.line) for row in rows if row.line]
    least = {
        metric: min(
            (line.cells[metric].mean for _, line in shown if not line.cells[metric].behind),
            key=lambda mean: math.inf if math.isnan(mean) else mean,
        )
        for metric in METRICS
    }
    body = []
    for row, line in shown:
        found = [Cell(row.title)]
        for metric, cell in line.cells.items():
            if cell.behind is None:
                found.append(Cell("smallest" if cell.mean == least[metric] else "–"))
            else:
                gap = cell.behind
                ends = f"{signed(gap.low)} to {signed(gap.high)}"
                unsure = "" if gap.excludes_zero else ", may be chance"
                found.append(Cell(signed(gap.difference), ends + unsure))
        body.append(found)
    return Table(
        ["Refiner", *metric_names(shown[0][1].unit)],
        body,
        caption="Larger than the smallest of the column by",
        notes=[f"95 % intervals. {what_is_drawn([line.runs for _, line in shown])}."],
    )


def _spread(rows: Sequence[Row]) -> Table | None:
    """Return how far seeds are apart (the mean over folds), and folds (of the means over seeds)."""
    body = []
    for row in rows:
        if row.method is None or len(row.method.seeds) < 2 or len(row.method.folds) < 2:
            continue
        body.append([
            Cell(row.title),
            *cells([str(len(row.method.seeds)), str(len(row.method.folds))]),
            *(
                Cell("–" if math.isnan(value) else f"{value:.2f}")
                for metric in METRICS
                for value in spread(row.method, metric)
            ),
        ])  # fmt: skip
    if not body:
        return None
    names = [
        f"{name}, {of}" for name in ("MPJPE", "PA-MPJPE", "Accel") for of in ("seeds", "folds")
    ]
    return Table(
        ["Refiner", "seeds", "folds", *names],
        body,
        caption="Standard deviation over seeds (mean of all folds) and over folds (of their means)",
    )


def spread(method: Method, metric: str) -> tuple[float, float]:
    """Return the standard deviations over seeds and over folds; NaN of fewer than two."""
    folds: dict[int | None, list[float]] = {}
    for entry in method.entries:
        folds.setdefault(entry.fold, []).append(float(getattr(entry.row, metric)))
    of_seeds = [statistics.stdev(values) for values in folds.values() if len(values) > 1]
    means = [statistics.fmean(values) for values in folds.values()]
    return (
        statistics.fmean(of_seeds) if of_seeds else math.nan,
        statistics.stdev(means) if len(means) > 1 else math.nan,
    )


def _lost(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return networks that ran on all folds and whose MPJPE is larger than the best yardstick's."""
    found = whole(rows)
    yardsticks = [row for row in found if row.is_yardstick]
    if not yardsticks:
        return []
    best = min(yardsticks, key=lambda row: row.mean("mpjpe"))
    return [
        (row, best) for row in found if row.is_network and row.mean("mpjpe") > best.mean("mpjpe")
    ]


def losers(rows: Sequence[Row]) -> list[str]:
    """Name the networks that a refiner without one beats, and whether that may be chance."""
    found = []
    for row, best in _lost(rows):
        gap = difference(row.runs, best.runs, "mpjpe")
        by = f"{row.mean('mpjpe') - best.mean('mpjpe'):.2f} in {_mpjpe_name(row)}"
        sure = "" if gap is None or not gap.excludes_zero else ": it is not trained enough"
        found.append(f"† {row.title} loses to {best.title} by {by}{chance(gap)}{sure}.")
    return found


def chance(gap: Interval | None) -> str:
    """Say an interval in brackets, and whether it may be of chance."""
    if gap is None:
        return ""
    ends = f"{signed(gap.low)} to {signed(gap.high)}"
    return f" ({ends})" if gap.excludes_zero else f" ({ends}, may be chance)"


def _mpjpe_name(row: Row) -> str:
    return metric_names(row.line.unit if row.line else "")[0]


def whole(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that ran on all folds: the mean of fewer people is of other people."""
    return [row for row in rows if row.line and row.line.folds == _most_folds(rows)]


def _most_folds(rows: Sequence[Row]) -> int:
    return max((row.line.folds for row in rows if row.line), default=1)
