"""``poise mocap``: motion capture files to a truth-only track."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from poise.cli.shared.options import with_settings
from poise.cli.shared.output import Screen
from poise.runtime.printable import printable
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise fetch cmu --subjects 7,35 --to cmu
  poise mocap cmu --out data
  poise ingest --data data --track cmu/gaussian-10/3D

  poise mocap bvh --skeletons cmu --out data --test-subjects 2 7
  poise mocap cmu --out data --source-fps 60=60 61=60   these two were at 60

  poise mocap --show-skeleton walk.bvh > map.toml
  poise mocap walks --out data --skeleton-map map.toml

reads, from all folders below FOLDER:
  07_01.amc    Acclaim; needs the subject's skeleton, 07.asf
  12_01.bvh    CMU's database as converted by cgspeed for MotionBuilder, 3dsMax
               or Daz; the first two lack the thorax and need the subject's
               .asf
  walk.bvh     of other programs; wants --skeleton-map where Poise cannot tell
               the joints' names
  take.c3d     markers; needs --markers
  *_poses.npz  AMASS; needs --body-model

Writes 17 joints in metres, y up, at --fps, as DATA/poses/cmu_noise_3D: ground
truth alone, to which the denoise tracks (cmu/gaussian-10/3D and others) add
noise. Takes of people's own bodies are named native-..., those on one common
skeleton daz-...: report them apart. Files that cannot be read are named and
left out; then the exit code is 1.
"""


def _show_skeleton(file: Path | None) -> None:
    """Print instead of converting."""
    if file is None:
        return
    from poise.mocap.skeleton_outline import outline

    print(outline(file), end="")
    raise typer.Exit


@with_settings("home")
def mocap(
    settings: Settings,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="where the files are, at any depth")
    ],
    out: Annotated[Path, typer.Option(metavar="DATA", help="data folder to write to")],
    dataset: Annotated[
        str,
        typer.Option(metavar="NAME", help="a data set of the catalogue that has noise tracks"),
    ] = "cmu",
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="FPS",
            help="rate to write, a whole fraction of the source's (the data set's: 60 for cmu)",
        ),
    ] = None,
    subject_from: Annotated[
        str,
        typer.Option(
            metavar="folder|name|REGEX",
            help="who moves in a take: the folder it lies in, its file's name, or what a regular "
            "expression finds in its path below FOLDER (its first group); else what is known of "
            "published sets, else the folder",
            show_default=False,
        ),
    ] = "",
    source_fps: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SUBJECT=]FPS ...",
            help="rate of the files where they do not say or are wrong (AMC: 120)",
        ),
    ] = None,
    test_subjects: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUBJECT ...", help="people of the test split; all others are for training"
        ),
    ] = None,
    test_every: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="test on every N-th person, first one first (4)", show_default=False
        ),
    ] = None,
    skeletons: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="where further .asf files are")
    ] = None,
    estimate_thorax: Annotated[
        bool,
        typer.Option(
            "--estimate-thorax",
            help="give native BVH takes without .asf a thorax as long as their upper back "
            "(1 to 12 mm off)",
        ),
    ] = False,
    markers: Annotated[
        Path | None, typer.Option(metavar="MAP.toml", help="which C3D markers make which joint")
    ] = None,
    unit: Annotated[
        Literal["m", "cm", "mm", "in"] | None,
        typer.Option(
            help="length unit of C3D, BVH and AMC files that do not say theirs, or say a wrong one"
        ),
    ] = None,
    skeleton_map: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP.toml",
            help="which joints of BVH files (bones of ASF files) are the 17; --show-skeleton "
            "prints one",
        ),
    ] = None,
    show_skeleton: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=_show_skeleton,
            is_eager=True,
            help="only print a file's joints (C3D: labels), and a map of them to fill in",
        ),
    ] = None,
    body_model: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="for AMASS: a folder of SMPL, SMPL+H or SMPL-X models by gender "
            "(SMPL_MALE.pkl, male/model.npz), or one file for everybody",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace the track if DATA has it")
    ] = False,
) -> int:
    """Turn motion capture files (AMC, BVH, C3D, AMASS) into a track."""
    from poise.mocap import convert as conversion
    from poise.runtime.errors import DataError

    if test_subjects and test_every is not None:
        raise typer.BadParameter("--test-subjects and --test-every exclude each other")
    track = conversion.noise_track(dataset)
    rate = fps or track.info.fps
    if not rate or rate <= 0:
        raise DataError(f"{dataset} has no rate of its own: give --fps above zero")
    conversion.check_free(out, track, overwrite)
    capture = conversion.Capture(
        folder=folder,
        fps=rate,
        subject_from=subject_from,
        source_fps=conversion.parse_rates(source_fps or []),
        skeletons=skeletons,
        estimate_thorax=estimate_thorax,
        markers=markers,
        body_model=body_model,
        skeleton_map=skeleton_map,
        unit=unit or "",
    )
    with Screen("reading") as screen:
        takes = conversion.read_takes(capture, screen.step)
        for line in takes.notes:
            screen.show(line)
    if takes.left_out:
        print(f"{len(takes.left_out)} of {takes.files} files were left out:", file=sys.stderr)
        for reason in takes.left_out:
            print(f"  {printable(reason)}", file=sys.stderr)
    people = conversion.TestPeople(test_subjects or None, 4 if test_every is None else test_every)
    for split in conversion.write_takes(takes, out, track, people):
        if split.path is None:
            print(f"{split.split}: no takes; fewer than two people, or all of them tested on")
        else:
            print(
                f"{split.split}: {split.takes} takes, {split.frames} frames of "
                f"{printable(', '.join(split.subjects))} in {printable(split.path)}"
            )
    return 1 if takes.left_out else 0
