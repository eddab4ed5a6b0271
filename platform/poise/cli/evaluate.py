"""``poise evaluate``: score a refiner on raw data."""

from typing import Annotated, Literal

import typer

from poise.cli.shared.options import MODEL, Json, Stride, with_settings
from poise.cli.shared.output import say, write_json
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise evaluate --model poise-uiprmd-kinect-3D@champion \\
      --track uiprmd/kinect/3D
  poise evaluate --refiner gaussian1d --data my_data --json row.json \\
      --track uiprmd/kinect/3D
  poise evaluate --refiner input --track cmu/gaussian-10/3D \\
      --protocol per_window --clip 120 --apart native daz

The same routine as the sweep, on files it may never have seen. --data is a
folder in the SmoothNet layout: it holds
poses/<dataset>_<estimator>_<representation>/ with groundtruth/ and detected/.
Errors are in mm (3D; SMPL with --smpl), px (2D) or degrees (SMPL). A model
that reads neighbours wants the Pose Vector Database it was trained with;
where there is none, that is an error, unless --without-retrieval is given.
What cannot be scored is left out and named; --json counts it as left_out.

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
