"""Ingest with the places given one by one, and no others: the environment does not matter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from poise.catalog.tracks import Track
from poise.ingest import track as ingesting
from poise.ingest.track import IngestOptions
from poise.lake.manifest import Exclude, Manifest
from poise.pvd.options import PATIENCE_S, FillOptions
from poise.runtime.settings import Settings

Report = Callable[[str], None]


def settings(data: Path | None = None, **places: Any) -> Settings:
    """Return settings of these places; raw data only where they are given."""
    given = {name: str(place) for name, place in places.items() if place is not None}
    return Settings.load(**given).model_copy(update={"data": data})


def ingest(
    track: Track,
    *,
    force: bool = False,
    pvd: bool = True,
    exclude: Exclude = "subject",
    patience_s: float = PATIENCE_S,
    report: Report = lambda _: None,
    **places: Any,
) -> Manifest:
    """Ingest a track."""
    options = IngestOptions(force, pvd, exclude, FillOptions(patience_s=patience_s))
    return ingesting.ingest(track, settings(**places), options, report)


def ensure_ingested(track: Track, report: Report = lambda _: None, **places: Any) -> Manifest:
    """Ingest a track where it is not there."""
    return ingesting.ensure_ingested(track, settings(**places), report)
