"""``poise sweep``: run an experiment plan."""

import logging
from typing import Annotated

import typer

from poise.cli.shared.commands import resumable
from poise.cli.shared.live_table import table_on
from poise.cli.shared.options import CpuOk, Json, Tracks, with_settings
from poise.cli.shared.output import Screen, write_json
from poise.runtime.errors import ModelError
from poise.runtime.settings import Settings

log = logging.getLogger(__name__)

EXAMPLES = """
examples:
  poise sweep --plan demo --data my_data
  poise sweep --plan demo --track synthetic/simulated/3D --epochs 2
  poise sweep --plan refiners --hold-out S3 S5
  ray job submit --working-dir . -- python jobs/sweep.py --plan demo-full

The same command again goes on where the last one ended. Ctrl-C is safe at any
time. Tracks that are missing in the lake are ingested first. `poise watch
PLAN` shows from anywhere how far it is, `poise ui` the results.

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
        from poise.catalog.tracks import Track
        from poise.checkpoints.mlflow_client import see_that_it_answers
        from poise.cli.shared.results import print_result
        from poise.experiments.plan import load_plan
        from poise.experiments.sweep import republish, run_sweep
        from poise.ingest.track import ensure_ingested

        chosen = load_plan(plan).changed(track or (), epochs, hold_out or (), cpu_ok)
        records = storage or settings.sweeps
        uri, artifacts = settings.tracking_uri, settings.artifacts
        with Screen("trials") as screen:
            screen.take_logs()
            if publish_only:
                result = republish(chosen, records, uri, artifacts)
            else:
                try:
                    see_that_it_answers(uri)
                except ModelError as error:  # said now, since the sweep may take days
                    log.warning("%s. The sweep goes on: what it finds is kept, sent later", error)
                for name in chosen.tracks:
                    ensure_ingested(Track.parse(name), settings)
                result = run_sweep(
                    chosen, settings.lake, records, uri, artifacts, show=table_on(screen)
                )
        print_result(result)
        if json:
            write_json(json, [entry.to_json() for entry in result.entries])
        return 0 if result.entries else 1
