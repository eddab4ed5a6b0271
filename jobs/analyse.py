#!/usr/bin/env python3
"""Look into a trained SynSP++ the way its paper does: quality, neighbours, loss ratio, latency."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)
import torch

from poise.analysis import latency, loss_ratio, neighbour_distance, quality_correlation
from poise.analysis.inputs import load_inputs
from poise.analysis.result import AnalysisResult
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_models.errors import RefinerError
from poise_retrieval.errors import RetrievalError

EXAMPLES = """examples:
  jobs/analyse.py quality --model poise-uiprmd-kinect-3D@champion --plot quality.png
  jobs/analyse.py neighbours --model .poise/sweeps/demo/trials/KEY/checkpoint --json rows.json
  jobs/sweep.py --plan fig1a --data my_data && jobs/analyse.py ratio .poise/sweeps/fig1a
  jobs/analyse.py latency --model poise-uiprmd-kinect-3D@champion --fps 12 --threads 1

--model wants a SynSP++ with retrieval. Data are the test split in the lake, and the PVD's poses
there; no Milvus has to run. docs/analysis.md says what is measured, and what came out.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="ANALYSIS")
    qualities, near, curve, late = (
        kinds.add_parser(
            name,
            help=(module.__doc__ or "").splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, module in (
            ("quality", quality_correlation),
            ("neighbours", neighbour_distance),
            ("ratio", loss_ratio),
            ("latency", latency),
        )
    )
    near.add_argument(
        "--from",
        dest="floors",
        type=float,
        nargs="+",
        default=list(neighbour_distance.FLOORS),
        metavar="D",
        help="least squared L2 distances of embeddings (default: 0 1 2)",
    )
    near.add_argument("--seed", type=int, default=0, help="of the irrelevant poses")
    curve.add_argument("sweep", metavar="SWEEP_FOLDER", help="for example .poise/sweeps/fig1a")
    late.add_argument(
        "--fps", type=float, help="of the estimator (default: the track's own; the paper has 12)"
    )
    late.add_argument("--turns", type=int, default=7, help="the median of so many (default: 7)")
    late.add_argument("--threads", type=int, help="of torch (default: as it is set)")
    for kind in (qualities, near, late):
        kind.add_argument(
            "--model",
            required=True,
            help="a registered model (name, name@alias, name/version) or checkpoint folder",
        )
        kind.add_argument("--lake", help="folder or URI (default: the one it was trained on)")
        kind.add_argument("--home", type=Path, help="registry: $POISE_HOME or .poise")
    for kind in (qualities, curve):
        kind.add_argument("--plot", type=Path, metavar="FILE", help="draw here, as PNG")
    for kind in (qualities, near, curve, late):
        kind.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure, print the table, write figures and plot."""
    options = parse(arguments)
    result = look(options)
    print(result.text)
    if options.json:
        rows = [asdict(row) for row in result.rows]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if result.picture is not None and options.plot:
        options.plot.write_bytes(result.picture())
    return 0


def look(options: argparse.Namespace) -> AnalysisResult:
    """Do what was asked for."""
    if options.kind == "ratio":
        return loss_ratio.analyse(options.sweep)
    if options.kind == "latency" and options.threads is not None:
        torch.set_num_threads(options.threads)
    inputs = load_inputs(options.model, Settings.use(home=options.home, lake=options.lake))
    if options.kind == "quality":
        return quality_correlation.analyse(inputs)
    if options.kind == "neighbours":
        return neighbour_distance.analyse(inputs, options.floors, options.seed)
    return latency.analyse(inputs, options.fps, options.turns)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PoiseError, RefinerError, RetrievalError) as error:
        sys.exit(f"analyse: {error}")
