"""``poise promote``: which version of a model is its champion."""

from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.shared.options import with_settings
from poise.cli.shared.output import print_table, say
from poise.runtime.errors import ModelError, PoiseError
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.checkpoints.champions import Promotion

EXAMPLES = """
examples:
  poise promote poise-uiprmd-kinect-3D 3 --reason "steadier on our own videos"
  poise promote uiprmd/kinect/3D 0029757230bf507f --reason "longer training"
  poise promote uiprmd/kinect/3D --undo --reason "flips left and right"
  poise promote uiprmd/kinect/3D --list

A sweep promotes by itself where its best network beats the champion on the
validation subjects by more than chance explains, and says so where it does
not. What was promoted by hand stays until another network beats it so.
Services that serve the champion take the new one up.
"""


@with_settings("home", "tracking_uri")
def promote(
    settings: Settings,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a registered model, or its track")],
    which: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION|RUN]", help="a version, an MLflow run, or a trial's key"),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why; kept with the version")] = "",
    undo: Annotated[
        bool, typer.Option("--undo", help="the champion before this one again")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="who was champion, since when, and why")
    ] = False,
) -> None:
    """Make a version or a run the champion, or take that back."""
    if (which is not None) + undo + listed != 1:
        raise PoiseError("name a version or a run, or one of --undo and --list")
    if not listed and not reason.strip():
        raise PoiseError('say why, for whoever asks later: --reason "..."')
    from mlflow.exceptions import MlflowException

    from poise.checkpoints.mlflow_client import in_words, mlflow_client
    from poise.experiments.tracking import promotion
    from poise.experiments.tracking.source import user_name

    name = promotion.model_of(model)
    try:
        client = mlflow_client(settings.tracking_uri)
        if listed:
            _print_history(*promotion.champions(client, name))
            return
        by = user_name() or "somebody"
        if undo:
            done = promotion.undo(client, name, by, reason)
        else:
            done = promotion.promote_by_hand(client, name, which or "", by, reason)
    except MlflowException as error:
        raise ModelError(
            f"the registry {settings.tracking_uri} does not answer for {name}: {in_words(error)}"
        ) from None
    before = f"version {done.before}" if done.before else "none"
    say(f"{name} version {done.version} is champion, before it was {before}")


def _print_history(champion: str, reigns: "list[Promotion]") -> None:
    if not reigns:
        say(f"version {champion} is champion, of an earlier Poise: nobody wrote down why")
        return
    rows = [
        [one.version, f"{one.at[:16].replace('T', ' ')} UTC", one.by, one.reason] for one in reigns
    ]
    print_table(["Version", "Champion since", "By", "Reason"], rows, left=(1, 2, 3))
    if reigns[-1].version != champion:
        say(f"version {champion} is champion now: its alias was moved by another program")
