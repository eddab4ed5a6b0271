"""``poise pvd``: verify a Pose Vector Database, make it anew, look at it."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from poise.cli.shared.commands import add, group
from poise.cli.shared.options import (
    Bulk,
    BulkSeenAs,
    JsonOutput,
    LakeAndTrack,
    Writers,
    bulk_of,
    lake_and_track,
    with_settings,
)
from poise.cli.shared.output import Screen, print_json, say
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise pvd verify uiprmd/kinect/3D
  poise pvd verify s3://motion/lake uiprmd/kinect/3D \\
      --milvus-uri http://milvus:19530 --json
  poise pvd rebuild .poise/lake uiprmd/kinect/3D
  poise pvd show .poise/lake uiprmd/kinect/3D --out neighbours.png

The PVD is a Milvus collection for each track: one row for each training
window. Without a URI it is the embedded one under --home. docs/pvd.md says
what is in it.
"""
VERIFY = """
example:
  poise pvd verify .poise/lake uiprmd/kinect/3D

looks at:
  alias    points at the collection that the lake's manifest names
  rows     as many as training windows, with their ids, each with the right
           subject
  vectors  a sample is computed from the lake again and compared
  search   recall@3 against an exact search, on a sample, the own subject left
           out

exit code: 0 nothing found, 1 at least one finding, 2 the command is wrong,
there is no such track, or Milvus does not answer
"""
REBUILD = """
examples:
  poise pvd rebuild .poise/lake uiprmd/kinect/3D
  poise pvd rebuild s3://motion/lake aist/spin/3D \\
      --milvus-uri http://milvus:19530 \\
      --bulk s3://milvus-bucket/poise    (a PVD of millions of rows)

A new collection is filled beside the live one, from the lake alone; the alias
is switched when it is complete, then the old collection goes. Neighbours are
searched again in it; the lake's windows change only where they do. Starts a
local Ray, or uses the one of $RAY_ADDRESS.
"""
SHOW = """
example:
  poise pvd show .poise/lake uiprmd/kinect/3D --out neighbours.png

Draws queries (detected windows, first and last frame) above their three
nearest poses, brought into the query's frame, with the squared distance; and,
beside that file, FILE-distances.png with the distances of all windows. Prints
the same as numbers, and how often a neighbour is of the query's own action.
Needs no Milvus.
"""

app = group("Verify, rebuild or look at the Pose Vector Database of a track.", EXAMPLES)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


@with_settings("home", "lake", "milvus_uri")
def verify(
    settings: Settings,
    where: LakeAndTrack,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="vectors to compute again (2000)"),
    ] = None,
    json: JsonOutput = False,
) -> int:
    """Hold what is in Milvus against the lake."""
    lake, name = lake_and_track(settings, where)
    from poise.catalog.tracks import Track
    from poise.lake.manifest import read_manifest
    from poise.pvd.checks.verify import SAMPLE
    from poise.pvd.checks.verify import verify as verify_pvd
    from poise.pvd.collection import pvd_store

    track = Track.parse(name)
    read_manifest(lake, track)  # before a Milvus is started
    with pvd_store(settings) as uri:
        report = verify_pvd(lake, track, uri, sample=sample or SAMPLE)
    if json:
        print_json(report.to_json())
    else:
        say(report.text())
    return int(report.failed)


@with_settings("home", "lake", "milvus_uri")
def rebuild(
    settings: Settings,
    where: LakeAndTrack,
    writers: Writers = None,
    bulk: Bulk = None,
    bulk_seen_as: BulkSeenAs = None,
) -> None:
    """Make it anew beside the live one, then switch."""
    lake, name = lake_and_track(settings, where)
    folder = bulk_of(settings, bulk, bulk_seen_as)
    from poise.catalog.tracks import Track
    from poise.pvd.options import FillOptions
    from poise.pvd.rebuild import rebuild as rebuild_pvd

    there = Settings.use(home=settings.home, lake=lake, milvus_uri=settings.milvus_uri)
    with Screen("rebuilding", "[{seconds:6.1f} s] {line}") as screen:
        rebuild_pvd(Track.parse(name), there, FillOptions(writers, folder), screen.say)


@with_settings("home", "lake")
def show(
    settings: Settings,
    where: LakeAndTrack,
    split: Annotated[Literal["train", "test"], typer.Option(help="the queries' split")] = "test",
    queries: Annotated[int, typer.Option(metavar="N", min=1, help="how many")] = 6,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="where to (pvd-TRACK.png)")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="of the draw")] = 0,
    action: Annotated[
        re.Pattern[str] | None,
        typer.Option(
            metavar="REGEX",
            parser=_pattern,
            help="part of the actions' names to compare, for example '^m..' (the whole)",
        ),
    ] = None,
) -> None:
    """Draw queries with their neighbours, and distances."""
    lake, name = lake_and_track(settings, where)
    from poise.catalog.tracks import Track
    from poise.pvd.show.report import ShowOptions
    from poise.pvd.show.report import show as show_pvd
    from poise.runtime.errors import LakeError

    track = Track.parse(name)
    shown = show_pvd(lake, track, ShowOptions(split, queries, seed, action))
    say(shown.text)
    file = out or Path(f"pvd-{track.slug}.png")
    pictures = {file.with_name(f"{file.stem}-distances.png"): shown.distances, file: shown.queries}
    for path, png in pictures.items():
        if png is None:
            continue
        try:
            path.write_bytes(png)
        except OSError as error:
            raise LakeError(f"{path}: cannot be written ({error.strerror})") from None
        say(path)


add(app, verify, VERIFY)
add(app, rebuild, REBUILD)
add(app, show, SHOW)
