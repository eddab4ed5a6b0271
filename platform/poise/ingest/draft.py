"""A raw track to sequences in the lake: the first half of an ingest."""

import time
from importlib import metadata

from poise.ingest.rounds import write_splits
from poise.ingest.sources import RawTrack
from poise.lake.ids import WINDOW
from poise.lake.manifest import SCHEMA_VERSION, Manifest
from poise.pvd.progress import Report, pace
from poise.runtime.errors import DataError

#: Sequences with joints that were filled, of which a line each is said.
_MOST_SAID = 50


def draft(raw: RawTrack, lake: str, report: Report) -> Manifest:
    """Write the sequences; return a manifest that has neither PVD nor windows yet.

    Raises:
        DataError: a raw file cannot be used at all, or not one of its sequences.
    """
    track, sources = raw.track, raw.sources
    size = sum(source.size for source in sources) / 1e6
    report(f"{track}: reading {len(sources)} source{'s' * (len(sources) != 1)}, {size:.1f} MB")
    clock = time.monotonic()
    results = write_splits(raw.data, track, lake, raw.splits, report)
    sequences, frames = (
        sum(one.summary.sequences for one in results),
        sum(one.summary.frames for one in results),
    )
    left_out = [item for result in results for item in result.quarantined]
    for item in left_out:
        report(f"  quarantined {item.file}, sequence {item.sequence}, {item.key}: {item.reason}")
    filled = [item for result in results for item in result.filled]
    for entry in filled[:_MOST_SAID]:
        joints = ", ".join(track.info.joint_names[gap[0]] for gap in entry.gaps[:3])
        count = sum(gap[2] for gap in entry.gaps)
        what = "not seen" if entry.pose == "detected" else "no truth"
        report(f"  filled      {entry.sequence}: {what} {count:,} times ({joints}, ...)")
    if len(filled) > _MOST_SAID:
        report(f"  filled      {len(filled) - _MOST_SAID:,} more, all listed in the manifest")
    for result in results:
        for note in result.notes:
            report(f"  note        {result.split}: {note}")
    if not sequences:
        raise DataError(f"{track}: none of its {len(left_out)} sequences can be used; see above")
    report(f"  sequences   {sequences:,}, {frames:,} frames{pace(frames, clock)}")
    info = track.info
    return Manifest(
        schema_version=SCHEMA_VERSION,
        poise_version=_version(),
        track=str(track),
        representation=track.representation,
        joints=info.joints,
        dims=info.dims,
        window=WINDOW,
        fps=info.fps,
        splits={result.split: result.summary for result in results},
        sources=sources,
        quarantined=left_out,
        pvd=None,
        filled=filled,
    )


def _version() -> str:
    try:
        return metadata.version("poise")
    except metadata.PackageNotFoundError:
        return "checkout"
