"""``poise ingest``: raw tracks into the lake, and their Pose Vector Database into Milvus."""

from contextlib import ExitStack
from typing import Annotated, Literal

import typer

from poise.cli.shared.commands import interrupt_on_sigterm, resumable
from poise.cli.shared.options import (
    SYNTHETIC,
    Bulk,
    BulkSeenAs,
    Tracks,
    Writers,
    bulk_of,
    with_settings,
)
from poise.cli.shared.output import Screen
from poise.runtime.errors import DataError, LakeError
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise ingest      every known track under $POISE_DATA, else a synthetic one
  poise ingest --data my_data --track uiprmd/kinect/3D
  poise ingest --milvus-uri http://milvus:19530 --writers 4 \\
      --lake s3://bucket/lake
  poise ingest --track aist/spin/3D --no-pvd     sequences and windows only
  poise ingest --milvus-uri http://milvus:19530 \\
      --bulk s3://milvus-bucket/poise            a PVD of millions of rows
  ray job submit --working-dir . jobs/ingest.py

A track that did not change since its last ingest is left alone. An ingest
that was cut short is taken up by the same command. What could not be read is
named here and in manifest.json.

exit code: 0 well, 1 a track among several was left out, 2 could not work
"""


@with_settings("home", "data", "lake", "milvus_uri")
def ingest(
    settings: Settings,
    track: Tracks = None,
    writers: Writers = None,
    bulk: Bulk = None,
    bulk_seen_as: BulkSeenAs = None,
    no_pvd: Annotated[
        bool,
        typer.Option(
            "--no-pvd",
            help="sequences and windows only, without Milvus; neighbours are absent until the "
            "command runs again without this",
        ),
    ] = False,
    exclude: Annotated[
        Literal["subject", "take"],
        typer.Option(
            help="what a training window's neighbours must not share with it; take, all cameras "
            "of one moment, is a weaker rule, only there to compare with"
        ),
    ] = "subject",
    force: Annotated[
        bool, typer.Option("--force", help="ingest again although nothing changed")
    ] = False,
) -> int:
    """Bring raw tracks into the lake and their Pose Vector Database into Milvus."""
    folder = bulk_of(settings, bulk, bulk_seen_as)
    with resumable("the same command takes up the work again"):
        interrupt_on_sigterm()
        from poise.catalog.tracks import Track
        from poise.ingest.sources import tracks_in
        from poise.ingest.track import IngestOptions
        from poise.ingest.track import ingest as ingest_track
        from poise.pvd.options import FillOptions
        from poise.runtime.ray_cluster.join import connect

        options = IngestOptions(force, not no_pvd, exclude, FillOptions(writers, folder))
        if track:
            tracks = [Track.parse(name) for name in track]
        else:
            tracks = tracks_in(settings.data) if settings.data else [Track.parse(SYNTHETIC)]
        with Screen("ingesting", "[{seconds:6.1f} s] {line}") as screen, ExitStack() as stack:
            if len(tracks) > 1:  # one cluster for all of them
                stack.enter_context(connect())
            left_out = 0
            for one in tracks:
                try:
                    ingest_track(one, settings, options, screen.say)
                except (DataError, LakeError) as error:
                    if len(tracks) == 1:
                        raise
                    left_out += 1
                    screen.say(f"{one}: left out: {error}")
        return int(left_out > 0)
