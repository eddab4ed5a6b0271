"""What is published of a track, beside which our figures stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.catalog import published as catalogue_of_papers
from poise.catalog.published import PublishedRow
from poise.catalog.tracks import Track
from poise.report.sweeps.trials import Method
from poise_models import catalogue

#: Fewer rows have no order of methods.
_FEWEST = 4


@dataclass(frozen=True)
class Paper:
    """What is published of a track.

    Attributes:
        track: it.
        rows: one a refiner and label.
        source: the tables' titles.
        notes: what keeps figures from being compared as they are.
        whole: whether the plan is of the printed table, whose other rows are missing from it.
    """

    track: str
    rows: Sequence[PublishedRow]
    source: str
    notes: Sequence[str]
    whole: bool

    def of(self, method: Method) -> PublishedRow | None:
        """Return the row of a method: of its label, else of its window, where we had several."""
        mine = [row for row in self.rows if row.refiner == method.refiner]
        window = method.trials[0].spec.settings.get("window")
        for row in mine:
            if row.label == method.label:
                return row
        if not catalogue.trains(method.refiner):
            return None
        return next((row for row in mine if not row.label and row.window == window), None)


def title_of(row: PublishedRow) -> str:
    """Return a row's refiner as tables call it."""
    name = catalogue.title(row.refiner)
    return f"{name} ({row.label})" if row.label else name


def published(track: str, plan: str) -> Paper:
    """Return what is published of a track: in the table that the plan is of, else in any."""
    tables = catalogue_of_papers.tables()
    own = [row for row in catalogue_of_papers.rows(plan) if row.track == track and not row.variant]
    if own:
        return _paper(track, own, True)
    found: dict[str, PublishedRow] = {}
    for table in tables.values():
        for row in table.rows:
            if row.track == track and not (row.label or row.variant) and "mpjpe" in row.metrics:
                found.setdefault(row.refiner, row)
    return _paper(track, list(found.values()), False)


def like(track: str, plan: str) -> Paper:
    """Return what is published of a track, else of the one like it that has the most rows."""
    own = published(track, plan)
    if len(own.rows) >= _FEWEST:
        return own
    kind = Track.parse(track).representation
    others = dict.fromkeys(
        row.track for t in catalogue_of_papers.tables().values() for row in t.rows
    )
    found = [published(one, "") for one in others if one.endswith(f"/{kind}")]
    return max(found, key=lambda paper: len(paper.rows), default=own)


def _paper(track: str, rows: Sequence[PublishedRow], whole: bool) -> Paper:
    tables = catalogue_of_papers.tables()
    used = [tables[name] for name in dict.fromkeys(row.table for row in rows)]
    notes = [f"{table.title}: {table.note}" for table in used if table.note]
    notes += [f"{title_of(row)} as published: {row.note}." for row in rows if row.note]
    return Paper(track, rows, "; ".join(table.title for table in used), notes, whole)
