"""Stride 1, 2 and 4 of a trained network: error against cost, on real data.

python -m benchmarks.stride --model poise-uiprmd-kinect-3D@champion --track uiprmd/kinect/3D

Seconds are those of `refine` for the whole split, as `poise evaluate` reports them.
"""

import argparse
import os
from pathlib import Path

from poise.catalog.tracks import Track
from poise.evaluation.raw_data import RawRequest, evaluate_raw
from poise.runtime.settings import Settings


def main() -> None:
    """Print a row for every stride."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", required=True, help="a registered model or checkpoint folder")
    add("--track", required=True)
    add("--data", type=Path, default=os.environ.get("POISE_DATA"), help="default: $POISE_DATA")
    add("--home", type=Path, help="lake, PVD and registry: $POISE_HOME or .poise")
    add("--strides", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    settings, track = Settings.use(home=given.home, data=given.data), Track.parse(given.track)
    print("| stride | MPJPE | PA-MPJPE | Accel | s | share of stride 1's | load |")
    print("|" + "---:|" * 7)
    first = None
    for stride in given.strides:
        found = evaluate_raw(RawRequest(track, settings, given.model, stride=stride))
        row = found.row
        first = first or row.seconds
        print(
            f"| {stride} | {row.mpjpe:.2f} | {row.pa_mpjpe:.2f} | {row.accel:.2f} "
            f"| {row.seconds:.1f} | {row.seconds / first:.2f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )
    print(f"\nretrieval: {row.retrieval}")


if __name__ == "__main__":
    main()
