#!/usr/bin/env python3
"""Run an experiment plan: train, compare, track in MLflow, crown the best model of each track."""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)

from poise.catalog.tracks import Track
from poise.evaluation.tables import terminal
from poise.experiments.plan import Plan, load_plan
from poise.experiments.sweep import SweepResult, republish, run_sweep
from poise.ingest.track import ensure_ingested
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_retrieval.errors import RetrievalError

EXAMPLES = """examples:
  jobs/sweep.py --plan demo --data my_data
  jobs/sweep.py --plan demo --track synthetic/simulated/3D --epochs 2
  ray job submit --working-dir . -- python jobs/sweep.py --plan demo-full

The same command again goes on where the last one ended. Ctrl-C is safe at any time.
MLflow: $MLFLOW_TRACKING_URI, or an sqlite store in the home (make ui).
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", default="demo", help="a name in jobs/plans, or a YAML file")
    parser.add_argument(
        "--track", action="append", default=[], help="instead of the plan's (repeatable)"
    )
    parser.add_argument("--epochs", type=int, help="instead of the plan's")
    parser.add_argument(
        "--hold-out",
        nargs="+",
        default=[],
        metavar="SUBJECT",
        help="subjects to validate on",
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("POISE_DATA"), help="default: $POISE_DATA"
    )
    parser.add_argument("--home", type=Path, help="lake, PVD and sweeps: $POISE_HOME or .poise")
    parser.add_argument("--lake", help="folder or URI; default: in the home")
    parser.add_argument("--storage", help="folder or URI of sweep records; default: in the home")
    parser.add_argument("--milvus-uri", default=os.environ.get("POISE_MILVUS_URI"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table's rows here")
    parser.add_argument(
        "--publish-only", action="store_true", help="send kept results to MLflow; train nothing"
    )
    return parser.parse_args(arguments)


def run(plan: Plan, options: argparse.Namespace) -> SweepResult:
    """Ingest what is missing, then run or publish the plan."""
    settings = Settings.load(
        home=options.home, data=options.data, lake=options.lake, milvus_uri=options.milvus_uri
    )
    storage = options.storage or settings.sweeps
    uri, artifacts = settings.tracking_uri, settings.artifacts
    if options.publish_only:
        return republish(plan, storage, uri, artifacts)
    for track in plan.tracks:
        ensure_ingested(Track.parse(track), settings)
    return run_sweep(plan, settings.lake, storage, uri, artifacts)


def main(arguments: list[str]) -> int:
    """Run, print the table, write the rows; 1 if no trial finished."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    Settings.use(home=options.home)
    plan = load_plan(options.plan).changed(options.track, options.epochs, options.hold_out)
    outcome = run(plan, options)
    print("\n" + terminal(outcome.entries, colour=sys.stdout.isatty()) + "\n")
    for trial, reason in outcome.failures:
        print(f"no row for {trial}: {reason}")
    for note in outcome.notes:
        print(note)
    if options.json:
        rows = [entry.to_json() for entry in outcome.entries]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if outcome.entries else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PoiseError, RetrievalError) as error:
        sys.exit(f"sweep: {error}")
    except KeyboardInterrupt:
        print("sweep: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
