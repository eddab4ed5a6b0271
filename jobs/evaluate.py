#!/usr/bin/env python3
"""Score a refiner on raw data: the same routine as the sweep, on files it may never have seen."""

import argparse
import json
import os
import sys
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)

from poise.catalog.tracks import Track
from poise.evaluation.raw_data import PROTOCOLS, RawRequest, evaluate_raw
from poise.evaluation.tables import Entry, terminal
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_models import catalogue
from poise_models.errors import RefinerError
from poise_retrieval.errors import RetrievalError

EXAMPLES = """examples:
  jobs/evaluate.py --model poise-uiprmd-kinect-3D@champion --track uiprmd/kinect/3D
  jobs/evaluate.py --refiner gaussian1d --data my_data --track uiprmd/kinect/3D --json row.json
  jobs/evaluate.py --refiner input --track cmu/gaussian-10/3D --protocol per_window --clip 120 \\
    --apart native daz

--data is a folder in the SmoothNet layout: it holds poses/<dataset>_<estimator>_<representation>/
with groundtruth/ and detected/. Errors are in mm (3D; SMPL with --smpl), px (2D) or degrees (SMPL).
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    untrained = [name for name in catalogue.names() if not catalogue.trains(name)]
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--model", help="a registered model (name, name@alias, name/version) or checkpoint folder"
    )
    what.add_argument("--refiner", choices=untrained, help="a refiner that wants no training")
    parser.add_argument("--track", required=True, help="dataset/estimator/representation")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("POISE_DATA"), help="default: $POISE_DATA"
    )
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="per_frame",
        help="denoise tracks: one noise value a frame (honest), or one for every window that "
        "covers it (the paper's tables)",
    )
    parser.add_argument("--clip", type=int, help="cut sequences into clips of this many frames")
    parser.add_argument(
        "--apart",
        nargs="+",
        default=[],
        metavar="PREFIX",
        help="score actions whose names begin so by themselves too (cmu: native daz)",
    )
    parser.add_argument(
        "--stride",
        type=int,
        metavar="FRAMES",
        help="between a network's windows (default: its own, mostly 1); 2 halves the cost",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile first: +1 minute, pays on long data (g++)"
    )
    parser.add_argument(
        "--without-retrieval",
        action="store_true",
        help="score a model that reads neighbours where there is no PVD to ask",
    )
    parser.add_argument("--home", type=Path, help="lake, PVD and registry: $POISE_HOME or .poise")
    parser.add_argument(
        "--smpl",
        type=Path,
        metavar="FOLDER",
        help="folder of SMPL_NEUTRAL.pkl, for joints of SMPL tracks (default: $POISE_SMPL)",
    )
    parser.add_argument("--milvus-uri", default=os.environ.get("POISE_MILVUS_URI"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row here")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Score, print the table, write the row."""
    options = parse(arguments)
    wanted = RawRequest(
        track=Track.parse(options.track),
        settings=Settings.use(
            home=options.home,
            data=options.data,
            milvus_uri=options.milvus_uri,
            smpl=options.smpl,
        ),
        model=options.model,
        refiner=options.refiner,
        split=options.split,
        protocol=options.protocol,
        clip=options.clip,
        apart=options.apart,
        stride=options.stride,
        compiled=options.compile,
        without_retrieval=options.without_retrieval,
    )
    evaluation = evaluate_raw(wanted)
    scored = [("", evaluation.row), *evaluation.groups.items()]
    for prefix, row in scored:
        print(terminal([Entry(row, prefix)], sys.stdout.isatty()))
    print(f"retrieval: {evaluation.row.retrieval}")
    for rejected in evaluation.rejected:
        print(f"left out: {rejected}", file=sys.stderr)
    if options.json:
        rows = [row.to_json() | ({"apart": prefix} if prefix else {}) for prefix, row in scored]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PoiseError, RefinerError, RetrievalError) as error:
        sys.exit(f"evaluate: {error}")
