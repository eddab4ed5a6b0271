"""``poise convert``: a keypoint file in another format."""

from pathlib import Path
from typing import Annotated

import typer

from poise.cli.motion.reading import (
    FormatOption,
    FpsOption,
    SkeletonOption,
    UnitOption,
    UpOption,
    skeleton_of,
)
from poise.cli.shared.output import say

EXAMPLES = """
examples:
  poise convert clip.json clip.trc --fps 30
  poise convert openpose/ clip.csv --to csv-wide --fps 25
  poise convert clip.c3d clip.parquet

Says what the new file cannot hold. Nothing is scaled, turned or filled in:
what was not seen is not there in the new file either. Motion capture becomes
a track to train on with poise mocap.
"""


def convert(
    file: Annotated[
        Path, typer.Argument(metavar="IN", help="a keypoint file, or a folder of them")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="the new file; its ending says the format")
    ],
    to: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="its format, where several have the ending")
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="ID", help="only this person (poise info lists them)")
    ] = None,
    format: FormatOption = None,
    skeleton: SkeletonOption = None,
    fps: FpsOption = None,
    unit: UnitOption = None,
    up: UpOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace OUT if it exists")
    ] = False,
) -> None:
    """Write a keypoint file in another format."""
    from poise.motion.files import lost, read, writer
    from poise.runtime.places import must_be_free

    must_be_free(out, overwrite)
    motion = read(file, format=format, skeleton=skeleton_of(skeleton), fps=fps, unit=unit, up=up)
    if person is not None:
        motion = motion.person(person)
    form = writer(motion, out, to)
    for line in motion.notes:
        say(f"note: {line}", aside=True)
    for line in lost(motion, form):
        say(f"not in {out.name}: {line}", aside=True)
    motion.write(out, form.name)
    people = len(motion.people)
    say(
        f"{out}: {form.name}, {len(motion):,} frames, "
        f"{people} {'person' if people == 1 else 'people'}, {len(motion.joints)} joints"
    )
