"""One track into the lake and its PVD into Milvus: the same rows every time, and only once."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.ingest.draft import draft
from poise.ingest.sources import RawTrack, is_generated
from poise.lake.manifest import (
    KINDS,
    Exclude,
    Manifest,
    Pvd,
    check_name,
    has_track,
    part_folder,
    part_paths,
    read_manifest,
    track_folder,
    write_manifest,
)
from poise.lake.parts import row_group_sizes
from poise.pvd.collection import is_published, pvd_store
from poise.pvd.options import DEFAULT_FILL, FillOptions
from poise.pvd.progress import Report, heard_of
from poise.pvd.publish import add_pvd, add_windows, why_no_pvd
from poise.readers.layouts import locate
from poise.readers.raw_split import split_exists
from poise.runtime import storage
from poise.runtime.errors import LakeError
from poise.runtime.locks import exclusive
from poise.runtime.places import cannot_write
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import see_that_nodes_share
from poise.runtime.settings import Settings
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION

log = logging.getLogger(__name__)

_NOT_ASKED = "not asked for (--no-pvd); run again without it to add the PVD and the neighbours"


@dataclass(frozen=True)
class IngestOptions:
    """How a track is ingested.

    Attributes:
        force: do it again although nothing changed.
        pvd: False writes sequences and windows only, without neighbours; a later ingest with True
            adds the PVD, and one with False leaves a PVD that is there as it is.
        exclude: what a training window's neighbours must not share with it: the subject, or only
            the take. With the other one than before, PVD and neighbours are made anew.
        fill: how rows reach Milvus.
    """

    force: bool = False
    pvd: bool = True
    exclude: Exclude = "subject"
    fill: FillOptions = DEFAULT_FILL


_DEFAULT = IngestOptions()


def ingest(
    track: Track,
    settings: Settings,
    options: IngestOptions = _DEFAULT,
    report: Report = log.info,
) -> Manifest:
    """Bring one track into the lake and its PVD into Milvus; do nothing where both are there.

    Ids, rows and part names depend on the data alone: a second run, a forced one, or one after an
    interruption writes what the first did. Until the new manifest is written, at the very end,
    readers go on with what the old one names.

    Args:
        track: what to ingest.
        settings: where the raw files, the lake and the Milvus are. Without a Milvus, an embedded
            server runs for the time of the ingest.
        options: how.
        report: callback with a line for every stage.

    Raises:
        DataError: the raw files are missing, or none of their sequences can be used.
        LakeError: the lake cannot be written, holds parts that cannot be read, or has a track whose
            name differs in case alone.
        BusyError: another process ingests this track into this lake.
        ImportFailedError: Milvus could not import a file, or is one that imports none.
        StoreUnavailableError: Milvus stayed away; the same command takes up the work again.
    """
    lake = settings.lake
    check_name(lake, track)
    try:
        with exclusive(track_folder(lake, track)), ExitStack() as running:
            raw = RawTrack.find(settings.data, track, lambda: running.enter_context(connect()))
            found = None if options.force else _finished(lake, raw, report)
            if found is not None:
                missing = _missing_pvd(found, settings, options)
                if missing is None:
                    report(f"{track}: up to date, {in_words(found)}")
                    return found
                report(f"{track}: its sequences are up to date, {missing}")
            elif settings.milvus_uri and options.pvd and _may_have_pvd(raw):
                with pvd_store(settings):
                    pass  # a wrong address is told before hours of reading
            with connect(), heard_of(report) as said:
                read = None if found or is_generated(track) else settings.data
                see_that_nodes_share({"--lake": lake}, {"--data": str(read)} if read else {})
                start = found or replace(draft(raw, lake, said), pvd=_pvd_of(lake, track))
                manifest = _complete(start, settings, options, said)
                _check_rows(lake, manifest)
                write_manifest(lake, manifest)
            _drop_other_parts(lake, manifest)
            report(f"{track}: done, {in_words(manifest)}")
            return manifest
    except OSError as error:
        raise LakeError(f"{track}: {cannot_write(lake, error)}") from error


def ensure_ingested(track: Track, settings: Settings, report: Report = log.info) -> Manifest:
    """Ingest a track that is missing or stale; without raw data of it, take what the lake has.

    With simulated images comes what they show, which networks are trained on.

    Raises:
        DataError: neither the lake nor the raw data have the track.
    """
    lake = settings.lake
    if track.stored != track:
        ensure_ingested(track.stored, settings, report)
    raw = any(split_exists(settings.data, track, split) for split in SPLITS)
    if raw or not has_track(lake, track):
        return ingest(track, settings, report=report)
    report(f"{track}: no raw data of it; taken from the lake {lake} as it is")
    manifest = read_manifest(lake, track)
    if manifest.pvd is None and not why_no_pvd(manifest):
        report(f"{track}: it was ingested with --no-pvd, so networks get no neighbours")
    if manifest.pvd is not None and manifest.pvd.exclude != "subject":
        report(f"{track}: its neighbours may be of a window's own subject (--exclude take)")
    return manifest


def in_words(manifest: Manifest) -> str:
    """Describe what a track holds: ``1,361 sequences, 96,933 frames, 87,406 windows``."""
    splits = manifest.splits.values()
    text = (
        f"{sum(split.sequences for split in splits):,} sequences, "
        f"{sum(split.frames for split in splits):,} frames, "
        f"{sum(split.windows for split in splits):,} windows"
    )
    return f"{text}, {len(manifest.quarantined)} quarantined" if manifest.quarantined else text


def _finished(lake: str, raw: RawTrack, report: Report) -> Manifest | None:
    """Return the manifest of an ingest of the same files; None where there is none."""
    track = raw.track
    if not has_track(lake, track):
        return None
    try:
        manifest = read_manifest(lake, track)
    except LakeError as error:
        report(f"{track}: made anew, because {error}")
        return None
    if manifest.sources != raw.sources:
        report(f"{track}: its raw files changed since the last ingest")
        return None
    return manifest


def _may_have_pvd(raw: RawTrack) -> bool:
    """Say whether what is known before reading allows a PVD; `why_no_pvd` knows more."""
    track, data = raw.track, raw.data
    if not track.has_pvd or "train" not in raw.splits:
        return False
    if data is None or is_generated(track):
        return True
    return all(files.truth is not None for files in locate(data, track, "train"))


def _pvd_of(lake: str, track: Track) -> Pvd | None:
    """Return the PVD that a new one takes the place of; None where there is none."""
    try:
        return read_manifest(lake, track).pvd
    except LakeError:
        return None


def _missing_pvd(manifest: Manifest, settings: Settings, options: IngestOptions) -> str | None:
    """Say what of the PVD is missing, and what is done about it; None where nothing is missing."""
    if not options.pvd:
        return None
    if manifest.pvd is None:
        return None if why_no_pvd(manifest) else "it has no PVD yet; adding it"
    before, exclude = manifest.pvd.exclude, options.exclude
    if before != exclude:
        return f"but its neighbours exclude the own {before}, not the {exclude}; making them anew"
    if manifest.pvd.embedding != EMBEDDING_VERSION:
        return "but its PVD is of another embedding; making it anew"
    with pvd_store(settings) as uri:
        there = is_published(uri, manifest.pvd, options.fill.patience_s)
    return None if there else "its PVD is not there; making it anew"


def _complete(
    start: Manifest, settings: Settings, options: IngestOptions, report: Report
) -> Manifest:
    """Add windows, and the PVD where there may be one, to sequences in the lake."""
    lake = settings.lake
    reason = why_no_pvd(start) or (None if options.pvd else _NOT_ASKED)
    if reason:
        return add_windows(start, lake, reason, report)
    with pvd_store(settings) as uri:
        return add_pvd(start, lake, uri, options.exclude, options.fill, report)


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
    for kind in (*KINDS, "vectors"):
        for split in SPLITS:
            folder = part_folder(lake, manifest.track_name, kind, split)
            kept = set(part_paths(lake, manifest, kind, split))
            for name in storage.list_dir(folder):
                path = storage.join(folder, name)
                if path not in kept:
                    storage.remove(path)
