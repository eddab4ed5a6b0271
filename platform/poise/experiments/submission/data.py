"""Which tracks of a plan have data here."""

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from poise.catalog import datasets
from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.ingest.sources import is_generated
from poise.ingest.track import ensure_ingested
from poise.lake.manifest import Manifest, has_track, read_manifest
from poise.readers.layouts import needed_files, split_exists
from poise.runtime.errors import DataError, in_short
from poise.runtime.settings import Settings
from poise.runtime.text.yaml_file import near

log = logging.getLogger(__name__)

_HOW = "docs/data.md says where to get it"


def in_lake(tracks: Iterable[str], lake: str) -> dict[str, Manifest]:
    """Return the manifests of those tracks that are in a lake."""
    found = [track for track in map(Track.parse, tracks) if has_track(lake, track)]
    return {str(track): read_manifest(lake, track) for track in found}


def without_data(tracks: Iterable[str], settings: Settings) -> Mapping[str, str]:
    """Return why tracks cannot be had: neither the lake nor the data folder holds them.

    Args:
        tracks: names of tracks.
        settings: where the lake and the raw files are.

    Returns:
        For each track that is not there, where it was looked for and how to get it, as one line.
    """
    reasons = ((name, _why_not(Track.parse(name), settings)) for name in tracks)
    return {name: reason for name, reason in reasons if reason}


def ingested(
    tracks: Iterable[str], wanted: Collection[str], absent: Mapping[str, str], settings: Settings
) -> dict[str, str]:
    """Ingest those tracks that are wanted and not absent.

    Args:
        tracks: of the plan.
        wanted: tracks of trials that are to be run.
        absent: see `without_data`.
        settings: where the lake and the raw files are.

    Returns:
        Why tracks are not in the lake: as ``absent`` says, or because their files cannot be used,
        or nobody wants them now.

    Raises:
        DataError: none of the wanted tracks is there.
    """
    why = dict(absent)
    for name, reason in absent.items():
        if name in wanted:
            log.warning("%s: %s. It has no trials; the others run", name, reason)
    for track in map(Track.parse, tracks):
        name = str(track)
        if name in why:
            continue
        if name in wanted:
            try:
                ensure_ingested(track, settings)
            except DataError as error:
                why[name] = f"its data cannot be used: {in_short(error)}"
                log.warning("%s: %s. It has no trials; the others run", name, why[name])
        elif not has_track(settings.lake, track):
            why[name] = "not in the lake, and not selected"
    if set(wanted) <= set(why):
        lines = [f"{name}: {why[name]}" for name in dict.fromkeys(wanted)]
        raise DataError("\n  ".join(["no track has data:", *lines]))
    return why


def _why_not(track: Track, settings: Settings) -> str:
    if is_generated(track) or has_track(settings.lake, track):
        return ""
    if settings.data is None:
        return (
            f"no data: not in the lake {settings.lake}, and no data folder was given (--data "
            f"FOLDER); {_HOW}"
        )
    if not settings.data.is_dir():
        return (
            f"no data: not in the lake {settings.lake}, and there is no folder {settings.data} "
            f"(--data); {_HOW}"
        )
    if any(split_exists(settings.data, track.stored, split) for split in SPLITS):
        return ""
    place = _place(settings.data, track)
    known = _catalogued()
    meant = "" if str(track) in known else near(str(track), known)
    return f"no data{meant}: neither in the lake {settings.lake} nor as {place}; {_HOW}"


def _catalogued() -> list[str]:
    """Return the tracks that the catalogue names."""
    return [
        f"{dataset.name}/{estimator}/{part.representation}"
        for dataset in datasets.known().values()
        for part in dataset.tracks
        for estimator in part.estimators
    ]


def _place(data: Path, track: Track) -> str:
    first, *others = needed_files(data, track.stored, "<train|test>")
    return f"{first}" + (f" (or in {len(others)} other layouts)" if others else "")
