"""``poise report``: what came of a sweep, as a page."""

from pathlib import Path
from typing import Annotated

import typer

from poise.cli.shared.options import with_settings
from poise.cli.shared.output import Screen, say
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise report demo
  poise report .poise/sweeps/uiprmd -o docs/reports/uiprmd
  poise report mlflow:table1 --tracking-uri http://mlflow:5000
  poise report before after

Writes report.md and report.html, one file that needs nothing else. SWEEP is a
sweep's name below the home, its folder or URI, or mlflow:EXPERIMENT where no
folder can be reached. Two sweeps are compared, cell by cell. Sweeps that still
run, or failed in part, have a report too. Joints, spectra and skeletons are
of test sequences that are refined again, where their data are in the lake.
"""


@with_settings("home", "lake", "tracking_uri")
def report(
    settings: Settings,
    sweep: Annotated[
        list[str],
        typer.Argument(metavar="SWEEP [OTHER]", help="one sweep, or two to compare"),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="where to (HOME/reports/SWEEP)"),
    ] = None,
    records_only: Annotated[
        bool, typer.Option("--records-only", help="refine nothing again: seconds, not minutes")
    ] = False,
) -> None:
    """Write what came of a sweep, or changed between two, as a page."""
    if len(sweep) > 2:
        raise typer.BadParameter("name one sweep, or two to compare")
    from poise.experiments.tracking.source import command_line
    from poise.report.report import Wanted
    from poise.report.written import write

    with Screen("report", stamp="[{seconds:.0f} s] {line}") as screen:
        wanted = Wanted(settings, command_line(), not records_only, screen.say)
        for file in write(sweep, wanted, out):
            say(f"wrote {file}")
