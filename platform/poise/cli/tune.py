"""``poise tune``: a trained network on a user's own pairs, or with a person's constant."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poise.cli.shared.commands import interrupt_on_sigterm, resumable
from poise.cli.shared.options import MODEL, with_settings
from poise.cli.shared.output import Screen, print_table, say
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.experiments.finetune import Tuned

EXAMPLES = """
examples:
  poise tune --from poise-uiprmd-kinect-3D --data my_data \\
      --track my_lab/mediapipe/3D -o my_model
  poise tune --from my_model --track my_lab/mediapipe/3D --hold-out P3 P7 \\
      --steps 3000 -o my_better_model
  poise tune --from my_model --track my_lab/mediapipe/3D --data my_data \\
      --calibrate P9/walk/rep01 P9/squat -o p9
  poise evaluate --model my_model --data my_data --track my_lab/mediapipe/3D

Goes on training a network on pairs of detected poses and ground truth: the
train split of a track, named and read as for `poise ingest` and `poise sweep`.
Some people are held out; the weights that are best on them are kept, those it
came with if nothing is better. OUT is a checkpoint folder. The same command
again goes on where the last one ended.

--calibrate trains nothing. It takes clips of one person, by their names or how
these begin, and writes the model with that person's constant: refined poses
have it taken off, wherever the checkpoint is used. docs/refiners.md says more.
"""


@with_settings("home", "data", "lake", "milvus_uri", "tracking_uri")
def tune(
    settings: Settings,
    model: Annotated[str, typer.Option("--from", metavar="MODEL", help=MODEL)],
    track: Annotated[str, typer.Option(metavar="TRACK", help="dataset/estimator/representation")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER", help="checkpoint to write")],
    hold_out: Annotated[
        list[str] | None,
        typer.Option(metavar="SUBJECT ...", help="whom to choose on (the last, in natural order)"),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="batches of 96 windows")] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="of every random choice")] = 0,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(metavar="CLIP ...", help="train nothing: reference clips of one person"),
    ] = None,
    split: Annotated[
        Literal["train", "test"], typer.Option(help="which the reference clips are in")
    ] = "test",
) -> None:
    """Tune a network on your own pairs, or to a person."""
    from poise.catalog.tracks import Track

    name = Track.parse(track)
    if calibrate:
        from poise.evaluation.calibration import calibrate as calibrate_to
        from poise.evaluation.raw_data import RawRequest

        request = RawRequest(name, settings, model, split=split, only=calibrate)
        made = calibrate_to(request, out)
        say(
            f"{out}: {model} with the constant of {made.subject}, from {made.clips} clips: MPJPE "
            f"{made.before:.2f} on these, {made.after:.2f} with it"
        )
        return
    with resumable("the same command goes on from here"):
        interrupt_on_sigterm()
        from poise.experiments.finetune import TuneRequest, finetune
        from poise.ingest.track import ensure_ingested

        with Screen("tuning") as screen:
            screen.take_logs()
            ensure_ingested(name, settings)
            done = finetune(TuneRequest(model, name, hold_out or (), steps, out, seed), settings)
    _show(done, model, out)


def _show(done: "Tuned", model: str, out: str) -> None:
    rows = {"Input": done.raw, "As it came": done.before, "Tuned": done.best}
    say(f"\nHeld out: {', '.join(done.subjects)}")
    header = ["", f"MPJPE {done.unit}", f"Accel {done.unit}/frame²"]
    print_table(header, [[name, *(f"{one:.2f}" for one in row)] for name, row in rows.items()])
    if done.step:
        say(f"{out}: {model} tuned, the weights after {done.step:,} steps")
    else:
        say(f"{out}: {model} as it came: no tuned weights were better on whom was held out")
