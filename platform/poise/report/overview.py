"""All tracks of a sweep in one table, where it has several."""

import math
import statistics
from collections.abc import Mapping, Sequence

from poise.evaluation.tables import metric_names
from poise.report.pages.document import Cell, Section, Table
from poise.report.results import Row, whole
from poise_models import catalogue

_METRICS = {"mpjpe": "MPJPE", "accel": "Accel"}
_Key = tuple[str, str]
_SAID = (
    "Below each mean Accel, per frame². Bold, and 'best' of Accel: better than the next best of "
    "the track by more than chance. Ranks are places among the refiners that have finished on all "
    "of the tracks, mean of the tracks, best first; the others stand below, without one."
)


def overview(tables: Mapping[str, Sequence[Row]]) -> Section | None:
    """Return the table of all tracks; None where there is but one.

    Args:
        tables: the rows of each track, by name; those of a track without results are left out.
    """
    columns = {name: by_key for name, rows in tables.items() if (by_key := _by_key(rows))}
    if len(columns) < 2:
        return None
    keys = list(dict.fromkeys(key for by_key in columns.values() for key in by_key))
    everywhere = [key for key in keys if all(key in by_key for by_key in columns.values())]
    ranks = {metric: _mean_ranks(everywhere, list(columns.values()), metric) for metric in _METRICS}
    keys.sort(key=lambda key: ranks["mpjpe"].get(key, math.inf))
    body = [
        [
            Cell(_title(key)),
            *(_rank(ranks[metric].get(key)) for metric in _METRICS),
            *(_figure(by_key.get(key)) for by_key in columns.values()),
        ]
        for key in keys
    ]
    units = {name: _precision(by_key) for name, by_key in columns.items()}
    one = len(set(units.values())) == 1
    header = ["Refiner", *(f"rank {name}" for name in _METRICS.values())]
    header += [name if one else f"{name}, {unit}" for name, unit in units.items()]
    caption = next(iter(units.values())) if one else "Errors"
    return Section("All tracks", [Table(header, body, caption=caption, notes=[_SAID])])


def _by_key(rows: Sequence[Row]) -> dict[_Key, Row]:
    return {(row.method.refiner, row.method.label): row for row in whole(rows) if row.method}


def _title(key: _Key) -> str:
    name = catalogue.title(key[0])
    return f"{name} ({key[1]})" if key[1] else name


def _mean_ranks(
    keys: Sequence[_Key], columns: Sequence[Mapping[_Key, Row]], metric: str
) -> dict[_Key, float]:
    places: dict[_Key, list[int]] = {key: [] for key in keys}
    for by_key in columns:
        values = [by_key[key].mean(metric) for key in keys]
        for key, value in zip(keys, values, strict=True):
            places[key].append(1 + sum(other < value for other in values))
    return {key: statistics.fmean(found) for key, found in places.items()}


def _rank(rank: float | None) -> Cell:
    return Cell("–" if rank is None else f"{rank:.1f}")


def _figure(row: Row | None) -> Cell:
    if row is None or row.line is None:
        return Cell("–")
    precision, smoothness = row.line.cells["mpjpe"], row.line.cells["accel"]
    small = "" if math.isnan(smoothness.mean) else f"{smoothness.mean:.2f}"
    return Cell(
        f"{precision.mean:.2f}", small + (", best" if smoothness.best else ""), precision.best
    )


def _precision(by_key: Mapping[_Key, Row]) -> str:
    unit = next((row.line.unit for row in by_key.values() if row.line), "")
    return metric_names(unit)[0]
