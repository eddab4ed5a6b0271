"""An ingest in one process of its own, without Ray and without a PVD, for tests that kill it."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from tests.support.ingesting import Report, settings

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest.split_writer import SplitResult, write_split
from poise.ingest.track import IngestOptions, ingest
from poise.lake.parts import window_ranges
from poise.lake.windows import write_windows_part
from poise.pvd.neighbour_search import Parts, Splits


def run(data: Path, lake: Path, said: Connection) -> None:
    """Say ``begin`` when all is imported, and ``end`` when the track is in the lake."""
    with (
        patch("poise.ingest.parts.PART_BYTES", 1_000_000),
        patch("poise.ingest.draft.write_splits", _here),
        patch("poise.pvd.publish.write_windows", _windows_here),
        patch("poise.ingest.track.connect", nullcontext),
    ):
        said.send("begin")
        track, places = Track.parse("uiprmd/kinect/3D"), settings(data, lake=lake)
        ingest(track, places, IngestOptions(pvd=False))
        said.send("end")


def _here(
    data: Path | None, track: Track, lake: str, splits: Iterable[Split], report: Report
) -> list[SplitResult]:
    return [write_split(data, track, lake, split) for split in splits]


def _windows_here(lake: str, splits: Splits, progress: Callable[[int], None]) -> Parts:
    return {
        split: [
            write_windows_part(lake, index, number)
            for number in range(len(window_ranges(index.windows)))
        ]
        for split, index in splits.items()
    }
