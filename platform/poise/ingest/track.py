"""One track into the lake and its PVD into Milvus: the same rows every time, and only once."""

import logging
from pathlib import Path

from poise.catalog.tracks import Track
from poise.ingest.sources import checksums, is_generated, splits_of
from poise.ingest.stages import Report, add_pvd_and_windows, add_windows, draft, why_no_pvd
from poise.lake.ids import SPLITS
from poise.lake.manifest import (
    Exclude,
    Manifest,
    Source,
    has_track,
    read_manifest,
    track_folder,
    write_manifest,
)
from poise.lake.parts import row_group_sizes
from poise.lake.schemas import KINDS, part_folder, part_paths
from poise.pvd.build import PATIENCE_S, is_published, pvd_store
from poise.pvd.bulk import BulkFolder
from poise.runtime import storage
from poise.runtime.cluster import connect
from poise.runtime.errors import LakeError
from poise.runtime.locks import exclusive
from poise.runtime.settings import Settings
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION

log = logging.getLogger(__name__)

_NOT_ASKED = "not asked for (--no-pvd); run again without it to add the PVD and the neighbours"


def ingest(
    track: Track,
    *,
    data: Path | None = None,
    lake: storage.Location | None = None,
    home: Path | None = None,
    milvus_uri: str | None = None,
    writers: int | None = None,
    bulk: BulkFolder | None = None,
    force: bool = False,
    pvd: bool = True,
    exclude: Exclude = "subject",
    patience_s: float = PATIENCE_S,
    report: Report = log.info,
) -> Manifest:
    """Bring one track into the lake and its PVD into Milvus; do nothing where both are there.

    Ids, rows and part names depend on the data alone: a second run, a forced one, or one after an
    interruption writes what the first did. Until the new manifest is written, at the very end,
    readers go on with what the old one names.

    Args:
        track: what to ingest.
        data: folder of the raw files; None for generated tracks.
        lake: folder or URI; the home's own by default.
        home: where the embedded Milvus keeps its data; see `Settings`.
        milvus_uri: a Milvus to use; an embedded server for the time of the ingest by default.
        writers: tasks that write to Milvus at once; None for one a CPU with a full-size server.
            Milvus Lite gets one: it can lose rows of concurrent writers in a crash.
        bulk: a folder that the Milvus server can read, to have it import files; None to send rows.
        force: do it again although nothing changed.
        pvd: False writes sequences and windows only, without neighbours; a later ingest with True
            adds the PVD, and one with False leaves a PVD that is there as it is.
        exclude: what a training window's neighbours must not share with it: the subject, or only
            the take. With the other one than before, PVD and neighbours are made anew.
        patience_s: how long to wait for a Milvus that does not answer.
        report: told one line for every stage.

    Raises:
        DataError: the raw files are missing, or none of their sequences can be used.
        LakeError: the lake cannot be written, or holds parts that cannot be read.
        BusyError: another process ingests this track into this lake.
        ImportFailedError: Milvus could not import a file, or is one that imports none.
        StoreUnavailableError: Milvus stayed away; the same command takes up the work again.
    """
    settings = Settings.load(home=home, lake=lake and str(lake), milvus_uri=milvus_uri)
    # Workers may stand elsewhere: what they are told must not depend on where.
    place = settings.lake
    data = data and data.expanduser().absolute()
    try:
        with exclusive(track_folder(place, track)):
            splits = splits_of(data, track)
            sources = checksums(data, track, splits)
            found = None if force else _finished(place, track, sources, report)
            if found is not None:
                wanted = (settings, patience_s)
                missing = _missing_pvd(found, exclude, *wanted) if pvd else None
                if missing is None:
                    report(f"{track}: up to date, {in_words(found)}")
                    return found
                report(f"{track}: its sequences are up to date, {missing}")
            with connect():
                start = found or draft(data, track, place, splits, sources, report)
                reason = why_no_pvd(start) or (None if pvd else _NOT_ASKED)
                if reason:
                    manifest = add_windows(start, place, reason, report)
                else:
                    with pvd_store(settings) as uri:
                        manifest = add_pvd_and_windows(
                            *(start, place, uri, report),
                            writers=writers,
                            bulk=bulk,
                            patience_s=patience_s,
                            exclude=exclude,
                        )
                _check_rows(place, manifest)
                write_manifest(place, manifest)
            _drop_other_parts(place, manifest)
            report(f"{track}: done, {in_words(manifest)}")
            return manifest
    except OSError as error:
        raise LakeError(f"{track}: {storage.cannot_write(place, error)}") from error


def ensure_ingested(
    track: Track,
    *,
    data: Path | None = None,
    lake: storage.Location | None = None,
    home: Path | None = None,
    milvus_uri: str | None = None,
    report: Report = log.info,
) -> Manifest:
    """Ingest a track that is missing or stale; without raw data, take what the lake has.

    Raises:
        DataError: neither the lake nor ``data`` has the track.
    """
    place = lake or Settings.load(home=home).lake
    if data is None and not is_generated(track) and has_track(place, track):
        report(f"{track}: no raw data given; taken from the lake {place} as it is")
        manifest = read_manifest(place, track)
        if manifest.pvd is None and not why_no_pvd(manifest):
            report(f"{track}: it was ingested with --no-pvd, so networks get no neighbours")
        if manifest.pvd is not None and manifest.pvd.exclude != "subject":
            report(f"{track}: its neighbours may be of a window's own subject (--exclude take)")
        return manifest
    return ingest(track, data=data, lake=lake, home=home, milvus_uri=milvus_uri, report=report)


def in_words(manifest: Manifest) -> str:
    """Say what a track holds, for example ``1,361 sequences, 96,933 frames, 87,406 windows``."""
    splits = manifest.splits.values()
    text = (
        f"{sum(split.sequences for split in splits):,} sequences, "
        f"{sum(split.frames for split in splits):,} frames, "
        f"{sum(split.windows for split in splits):,} windows"
    )
    return f"{text}, {len(manifest.quarantined)} quarantined" if manifest.quarantined else text


def _finished(lake: str, track: Track, sources: list[Source], report: Report) -> Manifest | None:
    if not has_track(lake, track):
        return None
    try:
        manifest = read_manifest(lake, track)
    except LakeError as error:
        report(f"{track}: made anew, because {error}")
        return None
    if manifest.sources != sources:
        report(f"{track}: its raw files changed since the last ingest")
        return None
    return manifest


def _missing_pvd(
    manifest: Manifest,
    exclude: Exclude,
    settings: Settings,
    patience_s: float,
) -> str | None:
    """Say what is missing of the PVD, and done about it; None where nothing is."""
    if manifest.pvd is None:
        return None if why_no_pvd(manifest) else "it has no PVD yet; adding it"
    before = manifest.pvd.exclude
    if before != exclude:
        return f"but its neighbours exclude the own {before}, not the {exclude}; making them anew"
    if manifest.pvd.embedding != EMBEDDING_VERSION:
        return "but its PVD is of another embedding; making it anew"
    with pvd_store(settings) as uri:
        there = is_published(uri, manifest.pvd, patience_s)
    return None if there else "its PVD is not there; making it anew"


def _check_rows(lake: str, manifest: Manifest) -> None:
    for split in SPLITS:
        summary = manifest.splits.get(split)
        if summary is None:
            continue
        rows = {
            kind: sum(
                sum(row_group_sizes(path)) for path in part_paths(lake, manifest, kind, split)
            )
            for kind in KINDS
        }
        wanted = {"sequences": summary.sequences, "windows": summary.windows}
        if rows != wanted or summary.read != summary.sequences + summary.quarantined:
            raise LakeError(
                f"{manifest.track}, split {split}: read {summary.read} sequences, quarantined "
                f"{summary.quarantined}, wrote {rows}, expected {wanted}; run the ingest again"
            )


def _drop_other_parts(lake: str, manifest: Manifest) -> None:
    for kind in KINDS:
        for split in SPLITS:
            folder = part_folder(lake, manifest.track_name, kind, split)
            kept = set(part_paths(lake, manifest, kind, split))
            for name in storage.list_dir(folder):
                path = storage.join(folder, name)
                if path not in kept:
                    storage.remove(path)
