"""``poise watch``: where a sweep is, from another terminal or machine."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.shared.live_table import table_on
from poise.cli.shared.options import JsonOutput, with_settings
from poise.cli.shared.output import Screen, print_json, print_table, say
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.experiments.live.watching import View, Watcher

EXAMPLES = """
examples:
  poise watch demo
  poise watch demo --home /shared/poise --once
  poise watch s3://bucket/sweeps/table1
  poise watch /shared/sweeps/table1 --once --json

It reads the sweep's folder and nothing else, so that it works on any machine
that reaches that. Ctrl-C ends the watching, not the sweep.

exit code: 0 the sweep is done (with --once: or goes on), 1 it was interrupted,
its driver is dead, or no trial finished, 2 could not work
"""

#: Seconds between two looks, and between two lines.
_LOOK_S, _LINE_S = 5.0, 20.0


@with_settings("home")
def watch(
    settings: Settings,
    sweep: Annotated[
        str,
        typer.Argument(metavar="SWEEP", help="a plan's name, or a sweep's folder or URI"),
    ],
    storage: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|URI", help="where sweep records are (HOME/sweeps)"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="look once, and print the table")] = False,
    json: JsonOutput = False,
) -> int:
    """Show what a sweep is doing, from another terminal or machine."""
    from poise.experiments.live.watching import Watcher
    from poise.experiments.records import SweepFolder

    watcher = Watcher(SweepFolder(_place(sweep, storage or settings.sweeps)))
    view = watcher.look_surely()
    if not once:
        view = _follow(watcher, view)
    if json:
        print_json(view.to_json())
    else:
        _print(view)
    if not view.over:
        return 0
    return 0 if view.done and any(row.mpjpe is not None for row in view.rows) else 1


def _place(sweep: str, sweeps: str) -> str:
    """Return a sweep's folder: a plan's name is that of a folder in ``sweeps``."""
    from poise.runtime import storage

    if "/" in sweep or (Path(sweep) / "sweep.json").is_file():
        return sweep
    return storage.join(sweeps, sweep)


def _follow(watcher: "Watcher", view: "View") -> "View":
    """Show the sweep until nothing more will come; return what was seen last."""
    with Screen("watching") as screen:
        show, ended, line = table_on(screen), 0, 0.0
        while not view.over:
            if view.status is not None and show is not None:
                show(view.status, view.rows)
            elif view.status is not None:
                now = time.monotonic()
                if view.status.done != ended or now - line >= _LINE_S:
                    ended, line = view.status.done, now
                    screen.show(str(view.status))
            time.sleep(_LOOK_S)
            view = watcher.look()
    return view


def _print(view: "View") -> None:
    from poise.experiments.live.rows import HEADER, LEFT

    print_table(HEADER, [row.cells for row in view.rows], LEFT)
    if view.status is not None:
        say(view.status if not view.over else f"{view.status.plan}: {view.status.far}")
    if view.advice:
        say(view.advice)
