"""``poise evaluate``: score a refiner on raw data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poise.cli.shared.options import MODEL, Json, Stride, with_settings
from poise.cli.shared.output import say, write_json
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.evaluation.raw_data import RawRequest

EXAMPLES = """
examples:
  poise evaluate --model poise-uiprmd-kinect-3D@champion \\
      --track uiprmd/kinect/3D
  poise evaluate --refiner gaussian1d --data my_data --json row.json \\
      --track uiprmd/kinect/3D
  poise evaluate --refiner input --track cmu/gaussian-10/3D \\
      --protocol per_window --clip 120 --apart native daz
  poise evaluate --model poise-uiprmd-kinect-3D --track uiprmd/kinect/3D \\
      --calibrate 0 1 3 10

The same routine as the sweep, on files it may never have seen. --data is a
folder in the SmoothNet layout: it holds
poses/<dataset>_<estimator>_<representation>/ with groundtruth/ and detected/.
Errors are in mm (3D; SMPL with --smpl), px (2D) or degrees (SMPL). A model
that reads neighbours wants the Pose Vector Database it was trained with;
where there is none, that is an error, unless --without-retrieval is given.
What cannot be scored is left out and named; --json counts it as left_out.

--calibrate K ... takes K clips of every person as references: what they show
to be that person's constant is taken off the others, which are scored. A row
for each K, all of the same clips, mean and spread over several draws.

exit code: 0 well, 1 at least one sequence was left out, 2 could not work
"""


@with_settings("home", "data", "lake", "milvus_uri", "tracking_uri", "smpl")
def evaluate(
    settings: Settings,
    track: Annotated[str, typer.Option(metavar="TRACK", help="dataset/estimator/representation")],
    model: Annotated[str | None, typer.Option(metavar="MODEL", help=MODEL)] = None,
    refiner: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="instead of a model, a refiner that wants no training"),
    ] = None,
    split: Annotated[Literal["train", "test"], typer.Option(help="which sequences")] = "test",
    protocol: Annotated[
        Literal["per_frame", "per_window"],
        typer.Option(
            help="denoise tracks: one noise value a frame (honest), or one for every window that "
            "covers it (the paper's tables)"
        ),
    ] = "per_frame",
    clip: Annotated[
        int | None,
        typer.Option(metavar="FRAMES", min=1, help="cut sequences into clips of so many frames"),
    ] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX ...",
            help="score actions whose names begin so by themselves too (cmu: native daz)",
        ),
    ] = None,
    calibrate: Annotated[
        list[int] | None,
        typer.Option(
            metavar="K ...",
            min=0,
            max=1000,
            help="take a constant off that K reference clips of each person show; score the others",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="of reference clips, for --calibrate")
    ] = 8,
    stride: Stride = None,
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="compile first: +1 minute, pays on long data (g++)"),
    ] = False,
    without_retrieval: Annotated[
        bool,
        typer.Option(
            "--without-retrieval",
            help="score a model that reads neighbours where there is no PVD to ask",
        ),
    ] = False,
    json: Json = None,
) -> int:
    """Score a refiner on raw data, by the same routine as the sweep."""
    if (model is None) == (refiner is None):
        raise typer.BadParameter("give either --model or --refiner")
    from poise.catalog.tracks import Track
    from poise.cli.shared.results import print_entries, print_motion
    from poise.evaluation.raw_data import RawRequest, evaluate_raw
    from poise.evaluation.tables import Entry
    from poise_models import catalogue

    untrained = [name for name in catalogue.names() if not catalogue.trains(name)]
    if refiner is not None and refiner not in untrained:
        raise typer.BadParameter(f"--refiner {refiner}: choose from {', '.join(untrained)}")
    wanted = RawRequest(
        track=Track.parse(track),
        settings=settings,
        model=model,
        refiner=refiner,
        split=split,
        protocol=protocol,
        clip=clip,
        apart=apart or (),
        stride=stride,
        compiled=compile_,
        without_retrieval=without_retrieval,
    )
    if calibrate:
        return _calibrated(wanted, calibrate, draws, json)
    evaluation = evaluate_raw(wanted)
    scored = [("", evaluation.row), *evaluation.groups.items()]
    for prefix, row in scored:
        print_entries([Entry(row, prefix)])
        print_motion(evaluation.motions[prefix], row.unit)
    print(f"retrieval: {evaluation.row.retrieval}")
    for line in evaluation.filled:
        say(f"filled: {line}", aside=True)
    for note in evaluation.notes:
        say(f"note: {note}", aside=True)
    for rejected in evaluation.rejected:
        say(f"left out: {rejected}", aside=True)
    if json:
        more = {"left_out": len(evaluation.rejected)}
        names = wanted.track.info.joint_names
        moved = {
            prefix: motion and motion.to_json(names)
            for prefix, motion in evaluation.motions.items()
        }
        rows = [
            row.to_json() | ({"apart": prefix} if prefix else more) | {"motion": moved[prefix]}
            for prefix, row in scored
        ]
        write_json(json, rows)
    return int(bool(evaluation.rejected))


def _calibrated(wanted: "RawRequest", counts: list[int], draws: int, json: Path | None) -> int:
    from poise.cli.shared.output import Screen, print_table
    from poise.evaluation.calibration import evaluate_calibrated
    from poise.evaluation.evaluate import unit_of
    from poise.evaluation.tables import metric_names
    from poise_models import catalogue

    if wanted.apart:
        raise typer.BadParameter("--calibrate and --apart exclude each other")
    with Screen("drawing references") as screen:
        counts = sorted(set(counts))
        rows, read = evaluate_calibrated(wanted, counts, draws, screen.move)
    of = f"{rows[0].draws} draws of references, {rows[0].frames:,} frames scored in each"
    say(f"{catalogue.title(rows[0].refiner)} on {rows[0].track}, {of}")
    texts = [
        [
            str(one.clips),
            f"{one.mpjpe:.2f} ± {one.spread:.2f}",
            f"{one.pa_mpjpe:.2f}",
            f"{one.accel:.2f}",
        ]
        for one in rows
    ]
    print_table(["Reference clips", *metric_names(unit_of(wanted.track))], texts)
    for rejected in read.rejected:
        say(f"left out: {rejected}", aside=True)
    if json:
        write_json(json, [one.to_json() | {"left_out": len(read.rejected)} for one in rows])
    return int(bool(read.rejected))
