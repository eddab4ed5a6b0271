"""``poise compare``: one keypoint file against another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.motion.reading import FpsOption, SizeOption, SkeletonOption, image_of, skeleton_of
from poise.cli.shared.options import JsonOutput
from poise.cli.shared.output import print_json, print_table, say

if TYPE_CHECKING:
    from poise.refining.reporting.compare import Comparison

EXAMPLES = """
examples:
  poise compare clip.poise.trc reference.trc
  poise compare clip.json clip.poise.json --plot moved.png

Joints are matched by name, frames by time, people by how near they are. In
space, errors are in mm and relative to the pelvis where both files have one;
in images they are in the files' unit.
"""
_TITLES = {
    "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "accel": "Accel, a frame^2",
    "velocity": "velocity, a frame", "range_kept": "range of motion, %",
    "peak_kept": "peak speed, %", "pck_150": "PCK at 150 mm, %", "auc": "AUC, %",
    "pck_0.05": "PCK at 0.05, %", "pck_0.1": "PCK at 0.1, %", "pck_0.2": "PCK at 0.2, %",
}  # fmt: skip


def compare(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a keypoint file")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="what is taken for true")],
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="draw errors over time and by joint")
    ] = None,
    skeleton: SkeletonOption = None,
    fps: FpsOption = None,
    size: SizeOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace the plot if it exists")
    ] = False,
    json: JsonOutput = False,
) -> None:
    """Measure how far a keypoint file is from another one."""
    from poise.motion.files import read
    from poise.refining.reporting.compare import compare as compare_motions
    from poise.runtime.places import must_be_free

    if plot is not None:
        must_be_free(plot, overwrite)

    image = image_of(size)
    motions = [
        read(one, skeleton=skeleton_of(skeleton), fps=fps, image=image) for one in (file, reference)
    ]
    found = compare_motions(*motions)
    if json:
        print_json([one.to_json() for one in found])
    else:
        for one in found:
            _print(one)
    if plot is not None:
        from poise.refining.reporting.plot import plot_comparison
        from poise.runtime import storage

        storage.write_bytes(str(plot.absolute()), plot_comparison(found))
        if not json:
            say(f"wrote {plot}")


def _print(one: "Comparison") -> None:
    mine, theirs = one.person
    say(f"person {mine}, in the reference {theirs}: {one.frames} frames, in {one.unit}")
    rows = [(_TITLES[name], f"{value:.4g}") for name, value in one.figures.items()]
    print_table(("", ""), rows)
    worst = sorted(one.joints.items(), key=lambda pair: -pair[1])
    print_table(("joint", one.unit), [(name, f"{error:.4g}") for name, error in worst])
