"""``poise tracks``: what Poise can read, and what of it a folder holds."""

from typing import Annotated

import typer

from poise.cli.shared.options import JsonOutput, with_settings
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise tracks                     the whole catalogue
  poise tracks --dataset h36m
  poise tracks ~/data              what is there, in SmoothNet's or DeciWatch's
                                   folders
  poise tracks --json | jq '.[0]'  everything the catalogue knows: joint names,
                                   PVD map, ...

columns:
  joints     joints of a frame, 17>14 where the files hold more than are used
  root       joints whose mean is the root of the published metrics
  stored     unit or normalisation; poses are metres, normalised pixels, or 6D
             rotations inside
  splits     the published ones; with DATA, the ones that are there
  PVD        whether its joints fit the Pose Vector Database (which wants a
             train split, too)
  MPJPE ...  published errors of the raw poses, mm or px: what refining starts
             from

dataset/*/3D stands for every estimator that is not listed. A data set of your
own is one small TOML file, named in $POISE_DATASETS or put into
HOME/datasets: see docs/own-data.md.
"""


@with_settings("home")
def tracks(
    settings: Settings,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="show only what this folder or URI holds")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="only this data set, for example h36m")
    ] = None,
    json: JsonOutput = False,
) -> None:
    """List the tracks Poise can read, or what of them a folder holds."""
    from poise.cli.shared.track_table import print_json, print_tracks
    from poise.runtime.remote_path import place

    show = print_json if json else print_tracks
    show(None if data is None else place(data), dataset)
