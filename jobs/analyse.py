#!/usr/bin/env python3
"""Look into a trained SynSP++ the way its paper does: quality, neighbours, loss ratio, latency."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _paths  # noqa: F401  (finds the source roots)
import torch

from poise.analysis import latency, neighbours, quality, ratio
from poise.analysis.material import Material, load_material
from poise.analysis.text import machine
from poise.errors import PoiseError
from poise.workspace import Workspace
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
QUALITY = """Correlate the pose quality encoding (PQE), and the disagreement of the two
branches, with the true error of the input (the paper: 0.48) and of the output."""
NEIGHBOURS = """Table VIII: refine the test split with the nearest neighbours from each distance on,
with random poses of other subjects, and with none."""
RATIO = """Fig. 1(a): MPJPE and Accel over the ratio of precision and smoothness losses, from the
finished trials of a sweep that varies `smoothness` (jobs/plans/fig1a.yaml)."""
LATENCY = """Table IX: model, wait for a window's frames, SWAA and PVD, on this machine."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="ANALYSIS")
    quality_kind = kinds.add_parser("quality", help="PQE against true error", description=QUALITY)
    near = kinds.add_parser("neighbours", help="Table VIII", description=NEIGHBOURS)
    near.add_argument(
        "--from",
        dest="floors",
        type=float,
        nargs="+",
        default=list(neighbours.FLOORS),
        metavar="D",
        help="least squared L2 distances of embeddings (default: 0 1 2)",
    )
    near.add_argument("--seed", type=int, default=0, help="of the irrelevant poses")
    curve = kinds.add_parser("ratio", help="Fig. 1(a)", description=RATIO)
    curve.add_argument("sweep", metavar="SWEEP_FOLDER", help="for example .poise/sweeps/fig1a")
    late = kinds.add_parser("latency", help="Table IX", description=LATENCY)
    late.add_argument(
        "--fps", type=float, help="of the estimator (default: the track's own; the paper has 12)"
    )
    late.add_argument("--turns", type=int, default=7, help="the median of so many (default: 7)")
    late.add_argument("--threads", type=int, help="of torch (default: as it is set)")
    for kind in (quality_kind, near, late):
        kind.add_argument(
            "--model",
            required=True,
            help="a registered model (name, name@alias, name/version) or checkpoint folder",
        )
        kind.add_argument("--lake", help="folder or URI (default: the one it was trained on)")
        kind.add_argument("--home", type=Path, help="registry: $POISE_HOME or .poise")
    for kind in (quality_kind, curve):
        kind.add_argument("--plot", type=Path, metavar="FILE", help="draw here, as PNG")
    for kind in (quality_kind, near, curve, late):
        kind.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure, print the table, write figures and plot."""
    options = parse(arguments)
    found = ANALYSES[options.kind](options)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")
    return 0


def look_at_quality(options: argparse.Namespace) -> Sequence[Any]:
    """Correlate."""
    material = _material(options)
    frames = quality.quality_frames(material)
    found = quality.correlations(frames)
    sequences = len(material.test.names)
    print(f"{material.track}: {len(frames.sequence_F):,} frames of {sequences:,} sequences")
    print(quality.quality_table(found))
    print(f"the paper, disagreement - input error: {quality.PUBLISHED:+.2f} on other data sets")
    if options.plot:
        options.plot.write_bytes(quality.quality_plot(frames))
    return found


def look_at_neighbours(options: argparse.Namespace) -> Sequence[Any]:
    """Refine with each kind."""
    found = neighbours.neighbour_rows(_material(options), options.floors, options.seed)
    print(neighbours.neighbours_table(found))
    return found


def look_at_ratio(options: argparse.Namespace) -> Sequence[Any]:
    """Read a sweep."""
    found = ratio.ratio_points(options.sweep)
    print(ratio.ratio_table(found))
    if options.plot:
        options.plot.write_bytes(ratio.ratio_plot(found))
    return found


def look_at_latency(options: argparse.Namespace) -> Sequence[Any]:
    """Measure time."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    material = _material(options)
    fps = material.track.info.fps or latency.PUBLISHED_FPS if options.fps is None else options.fps
    found = latency.latencies(material, fps, options.turns)
    print(latency.latency_table(found))
    print(f"{machine()}; {len(material.rows.ids_N):,} rows in the PVD, {fps:g} frames a second")
    return found


def _material(options: argparse.Namespace) -> Material:
    return load_material(options.model, Workspace.use(options.home), options.lake)


ANALYSES = {
    "quality": look_at_quality,
    "neighbours": look_at_neighbours,
    "ratio": look_at_ratio,
    "latency": look_at_latency,
}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PoiseError, RefinerError, RetrievalError) as error:
        sys.exit(f"analyse: {error}")
