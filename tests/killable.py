"""An ingest in one process of its own, without Ray and without a PVD, for tests that kill it."""

from collections.abc import Iterable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from poise.ingest import ingest
from poise.intake import Intake, take_split
from poise.rows import Split
from poise.tracks import Track


def run(data: Path, lake: Path, said: Connection) -> None:
    """Say ``begin`` when all is imported, and ``end`` when the track is in the lake."""
    with (
        patch("poise.intake.PART_BYTES", 1_000_000),
        patch("poise.stages.take_in", _here),
        patch("poise.ingest.connect", nullcontext),
    ):
        said.send("begin")
        ingest(Track.parse("uiprmd/kinect/3D"), data=data, lake=lake, pvd=False)
        said.send("end")


def _here(data: Path | None, track: Track, lake: str, splits: Iterable[Split]) -> list[Intake]:
    return [take_split(data, track, lake, split) for split in splits]
