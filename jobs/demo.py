#!/usr/bin/env python3
"""See everything once: raw poses in, a served refiner out, on this machine alone."""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)

from poise.catalog.tracks import Track
from poise.cli.demo import Served, run_demo
from poise.evaluation.tables import terminal
from poise.experiments.plan import load_plan
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_retrieval.errors import RetrievalError

EXAMPLES = """Ingests a track into the lake and its poses into an embedded Milvus, trains and
compares all refiners of the plan, serves the best one, and refines held-out sequences over HTTP.
With $POISE_DATA the track is uiprmd/kinect/3D (a Kinect beside a Vicon system); without it a
synthetic one. Whatever a run finished, the next one reuses; Ctrl-C is safe at any time.
"""
SYNTHETIC = "synthetic/simulated/3D"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("POISE_DATA"), help="default: $POISE_DATA"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="the paper's network and training length (plan demo-full; hours on a CPU)",
    )
    parser.add_argument("--home", type=Path, help="default: $POISE_HOME or .poise")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the demo and say what it showed."""
    options = parse(arguments)
    clock = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="      %(message)s", stream=sys.stdout)

    def say(line: str) -> None:
        print(f"\n[{time.monotonic() - clock:5.0f} s] {line}", flush=True)

    settings = Settings.use(home=options.home)
    plan = load_plan("demo-full" if options.full else "demo")
    if options.data is None:
        plan = plan.changed(tracks=[SYNTHETIC])
    data = Path(options.data) if options.data else None
    outcome, served = run_demo(plan, settings, data, say)
    print("\n" + terminal(outcome.entries, colour=sys.stdout.isatty()) + "\n")
    for note in outcome.notes:
        print(note)
    print(summary(served, Track.parse(plan.tracks[0]).info.unit))
    print(
        f"\nDone in {time.monotonic() - clock:.0f} s; everything this started has stopped. Next:\n"
        "  make ui      the comparison in MLflow\n"
        "  make serve   the champion behind an endpoint\n"
        f"  table, plot  {settings.sweeps}/{plan.name}/tables"
    )
    return 0


def summary(served: Served, unit: str) -> str:
    """What the service did to the held-out sequences, in words."""
    before, after = served.before, served.after
    return (
        f"\nOver HTTP, {served.sequences} held-out sequences ({before.frames} frames) in "
        f"{served.seconds:.1f} s, retrieval {served.retrieval}:\n"
        f"  before  MPJPE {before.mpjpe:6.2f} {unit}   Accel {before.accel:5.2f} {unit}/frame²\n"
        f"  after   MPJPE {after.mpjpe:6.2f} {unit}   Accel {after.accel:5.2f} {unit}/frame²\n"
        f"  largest difference to the same refinement offline: {served.deviation:.1e}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PoiseError, RetrievalError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        print("demo: interrupted; the next run goes on from here", file=sys.stderr)
        sys.exit(130)
