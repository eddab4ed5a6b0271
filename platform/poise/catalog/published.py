"""Published results as data: what papers print for a track and a refiner, in our units."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

_WORDS = ("track", "refiner", "label", "variant", "window", "note")


@dataclass(frozen=True)
class PublishedRow:
    """One printed row.

    Attributes:
        table: its table, which has the name of the plan whose sweep has the same row.
        track: the track's text form.
        refiner: the refiner's name; ``input`` where an estimator stands by itself.
        label: of the trial in the table's plan.
        variant: how the paper measured the same network here; empty where as all others.
        window: frames of the refiner's window, as printed; None of an estimator.
        metrics: what is printed, by name: ``mpjpe`` and ``pa_mpjpe`` in mm or px, ``accel`` in the
            same per frame squared, ``model_ms``, ``wait_ms``, ``swaa_ms``, ``pvd_ms`` and
            ``total_ms`` in milliseconds, ``pearson``.
        note: what keeps it from being compared with ours as it is.
    """

    table: str
    track: str
    refiner: str
    label: str
    variant: str
    window: int | None
    metrics: Mapping[str, float]
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """A printed table; ``note`` is of all its rows, and ``title`` begins with its number."""

    name: str
    title: str
    note: str
    rows: tuple[PublishedRow, ...]


@lru_cache(maxsize=1)
def tables() -> Mapping[str, PublishedTable]:
    """Return the printed tables by name, in their order."""
    text = resources.files("poise.catalog").joinpath("published.toml").read_text("utf-8")
    return {table.name: table for table in map(_table, tomllib.loads(text)["tables"])}


def rows(table: str) -> tuple[PublishedRow, ...]:
    """Return the rows of a table, in the order in which it prints them; none of a name unknown."""
    found = tables().get(table)
    return found.rows if found else ()


def of(track: str, refiner: str, label: str = "") -> tuple[PublishedRow, ...]:
    """Return what is printed for a refiner on a track, from every table that has it.

    Args:
        track: the track's text form.
        refiner: the refiner's name.
        label: of the trial; empty where its plan gives none.
    """
    return tuple(
        row
        for table in tables().values()
        for row in table.rows
        if (row.track, row.refiner, row.label, row.variant) == (track, refiner, label, "")
    )


def _table(given: Mapping[str, Any]) -> PublishedTable:
    name = given["name"]
    found = tuple(_row(name, row) for row in given["rows"])
    return PublishedTable(name, given["title"], given.get("note", ""), found)


def _row(table: str, given: Mapping[str, Any]) -> PublishedRow:
    return PublishedRow(
        table=table,
        track=given["track"],
        refiner=given["refiner"],
        label=given.get("label", ""),
        variant=given.get("variant", ""),
        window=given.get("window"),
        metrics={key: float(value) for key, value in given.items() if key not in _WORDS},
        note=given.get("note", ""),
    )
