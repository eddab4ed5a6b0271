"""``poise sweep``: run an experiment plan."""

import logging
from typing import Annotated, Literal

import typer

from poise.cli.shared.commands import resumable
from poise.cli.shared.live_table import table_on
from poise.cli.shared.options import CpuOk, Json, Tracks, with_settings
from poise.cli.shared.output import Screen, write_json
from poise.runtime.errors import ModelError, PlanError
from poise.runtime.settings import Settings

log = logging.getLogger(__name__)

Only = Literal["failed", "missing"]

EXAMPLES = """
examples:
  poise sweep --plan demo --data my_data
  poise sweep --plan table1 --dry-run
  poise sweep --plan table2 --tracks 'h36m/*' --refiners synspp,smoothnet
  poise sweep --plan table2 --seeds 1           a first look: one seed of each
  poise sweep --plan table2 --only failed
  poise sweep --plan uiprmd --refiners 'synsp*,linear'
  poise sweep --plan demo --track synthetic/simulated/3D --epochs 2
  poise sweep --plan refiners --hold-out S3 S5
  poise sweep --plan search
  ray job submit --working-dir . -- python jobs/sweep.py --plan demo-full

The same command again goes on where the last one ended. Ctrl-C is safe at any
time. Tracks that are missing in the lake are ingested first; those without
data are rows that say so. All that is wrong with a plan is said at once, and
before anything starts. --tracks, --refiners, --seeds and --only run a part of
the plan's trials, into the same records and the same table; --track and
--epochs make other trials. --dry-run shows the grid, what of it is done, how
long the rest takes by what such trials took before, and what is missing.
`poise watch PLAN` shows from anywhere how far it is, `poise ui` the results.
A plan with a `search` part tries settings and writes the best as a plan,
HOME/sweeps/PLAN/best.yaml. docs/sweeps.md says more.

exit code: 0 well, 1 no trial finished, 2 could not work
"""


@with_settings("home", "data", "lake", "milvus_uri", "tracking_uri", "smpl")
def sweep(
    settings: Settings,
    plan: Annotated[
        str, typer.Option(metavar="PLAN", help="a name in jobs/plans, or a YAML file")
    ] = "demo",
    track: Tracks = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="of every network, instead of the plan's")
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(metavar="SUBJECT ...", help="subjects to validate on"),
    ] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option("--tracks", metavar="PATTERN ...", help="only these of the plan: 'h36m/*'"),
    ] = None,
    refiners: Annotated[
        list[str] | None,
        typer.Option(
            "--refiners",
            metavar="PATTERN ...",
            help="only these of the plan, by name (synspp,smoothnet) or name and label "
            "('synspp (7*')",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="only seeds 0 to N - 1 of networks")
    ] = None,
    only: Annotated[
        Only | None,
        typer.Option(
            metavar="failed|missing", help="only trials that failed, or that have not ended"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be done, and do nothing")
    ] = False,
    storage: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|URI", help="where sweep records are (HOME/sweeps)"),
    ] = None,
    cpu_ok: CpuOk = False,
    publish_only: Annotated[
        bool,
        typer.Option("--publish-only", help="send kept results to MLflow; train nothing"),
    ] = False,
    json: Json = None,
) -> int:
    """Run an experiment plan: train, compare, track, promote the best."""
    with resumable("the same command goes on from here"):
        from poise.checkpoints.mlflow_client import see_that_it_answers
        from poise.cli.shared.outlook import as_json, print_outlook
        from poise.cli.shared.results import print_result, print_search
        from poise.experiments.plan import load_plan
        from poise.experiments.search.search import republish_search, run_search, so_far
        from poise.experiments.submission.checks import checked_grid
        from poise.experiments.submission.data import in_lake, ingested, without_data
        from poise.experiments.submission.outlook import lacking_gpu, outlook
        from poise.experiments.submission.selection import Selection
        from poise.experiments.sweep import republish, run_sweep

        chosen = load_plan(plan).changed(track or (), epochs, hold_out or (), cpu_ok, seeds or 0)
        selection = Selection(_words(tracks), _words(refiners), seeds, only)
        records = storage or settings.sweeps
        uri, artifacts = settings.tracking_uri, settings.artifacts
        manifests = in_lake(chosen.tracks, settings.lake)
        if chosen.search is not None and selection != Selection(seeds=seeds):
            raise PlanError("a search is run as a whole: leave --tracks, --refiners and --only out")
        specs = checked_grid(chosen, manifests, selection)
        absent = without_data(chosen.tracks, settings)
        if dry_run:
            found = outlook(chosen, manifests, absent, records, selection)
            searching = chosen.search is not None
            print_outlook(found, so_far(chosen, manifests, records) if searching else "")
            if json:
                write_json(json, as_json(found))
            return 0
        wanted = [spec.track for spec in specs if selection.takes(spec)]
        to_ingest = set(wanted) - set(manifests) - set(absent)
        if not publish_only and to_ingest and (lacking := lacking_gpu(chosen)):
            # Else hours of ingest come before Ray says so.
            raise PlanError(f"plan {chosen.name} wants {lacking}")
        with Screen("trials") as screen:
            screen.take_logs()
            if not publish_only:
                try:
                    see_that_it_answers(uri)
                except ModelError as error:  # said now, since the sweep may take days
                    log.warning("%s. The sweep goes on: what it finds is kept, sent later", error)
                absent = ingested(chosen.tracks, wanted, absent, settings)
            if chosen.search is not None:
                if publish_only:
                    tried = republish_search(records, chosen.name, uri, artifacts)
                else:
                    tried = run_search(chosen, settings.lake, records, uri, artifacts)
            elif publish_only:
                result = republish(chosen, records, uri, artifacts)
            else:
                result = run_sweep(
                    chosen, settings.lake, records, uri, artifacts,
                    show=table_on(screen), selection=selection, absent=absent,
                )  # fmt: skip
        if chosen.search is not None:
            print_search(tried)
            if json:
                write_json(json, [dict(zip(tried.header, row, strict=True)) for row in tried.rows])
            return 0 if tried.best else 1
        print_result(result)
        if json:
            write_json(json, [entry.to_json() for entry in result.entries])
        return 0 if result.entries else 1


def _words(given: list[str] | None) -> tuple[str, ...]:
    return tuple(word.strip() for words in given or () for word in words.split(",") if word.strip())
