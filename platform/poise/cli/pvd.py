"""``poise pvd``: is the Pose Vector Database sound, make it anew, look at it."""

import argparse
import json
import os
import re
import time
from pathlib import Path

from poise.catalog.tracks import Track
from poise.cli.bulkoptions import add_bulk, bulk_of
from poise.lake.ids import SPLITS
from poise.lake.manifest import read_manifest
from poise.pvd.checks.verify import SAMPLE, verify
from poise.pvd.collection import pvd_store
from poise.pvd.options import FillOptions
from poise.pvd.rebuild import rebuild
from poise.pvd.show.examples import examples
from poise.pvd.show.plots import distances_plot, gallery
from poise.pvd.show.statistics import NeighbourTable, distance_to_own_truth, in_words, rank_stats
from poise.runtime.errors import LakeError
from poise.runtime.settings import Settings

EXAMPLES = """examples:
  poise pvd verify .poise/lake uiprmd/kinect/3D
  poise pvd verify s3://motion/lake uiprmd/kinect/3D --milvus-uri http://milvus:19530 --json
  poise pvd rebuild .poise/lake uiprmd/kinect/3D
  poise pvd rebuild s3://motion/lake aist/spin/3D --milvus-uri http://milvus:19530 \
      --bulk s3://milvus-bucket/poise    (a PVD of millions of rows)
  poise pvd show .poise/lake uiprmd/kinect/3D --out neighbours.png

The PVD is a Milvus collection for each track: one row for each training window. Without a URI it is
the embedded one under --home. docs/pvd.md says what is in it.
"""
_VERIFY = """looks at:
  alias        points at the collection that the lake's manifest names
  rows         as many as training windows, with their ids, each with the right subject
  vectors      a sample is computed from the lake again and compared
  search       recall@3 against an exact search, on a sample, the own subject left out

exit code: 0 sound, 1 at least one finding, 2 the command is wrong, there is no such track, or
Milvus does not answer
"""
_REBUILD = """A new collection is filled beside the live one, from the lake alone; the alias is
switched when it is complete, then the old collection goes. Neighbours are searched again in it;
the lake's windows change only where they do. Starts a local Ray, or uses the one of $RAY_ADDRESS.
"""
_SHOW = """Draws queries (detected windows, first and last frame) above their three nearest poses,
brought into the query's frame, with the squared distance; and, beside that file, FILE-distances.png
with the distances of all windows. Prints the same as numbers, and how often a neighbour is of the
query's own action. Needs no Milvus.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand and its three."""
    parser = commands.add_parser(
        "pvd",
        help="verify, rebuild or look at a Pose Vector Database",
        description="The Pose Vector Database of a track.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    one = _action(actions, "verify", "hold what is in Milvus against the lake", _VERIFY)
    _milvus(one)
    one.add_argument("--sample", type=_positive, default=SAMPLE, metavar="N",
        help=f"vectors to compute again ({SAMPLE})")  # fmt: skip
    one.add_argument("--json", action="store_true", help="print the findings as JSON")
    one.set_defaults(run=run_verify)
    one = _action(actions, "rebuild", "make it anew beside the live one, then switch", _REBUILD)
    _milvus(one)
    one.add_argument("--writers", type=_positive, metavar="N",
        help="tasks writing to Milvus at once (one a CPU; embedded Milvus: one)")  # fmt: skip
    add_bulk(one)
    one.set_defaults(run=run_rebuild)
    one = _action(actions, "show", "draw queries with their neighbours, and distances", _SHOW)
    one.add_argument("--split", choices=SPLITS, default="test", help="queries' split (test)")
    one.add_argument("--queries", type=_positive, default=6, metavar="N", help="how many (6)")
    one.add_argument("--out", type=Path, metavar="FILE.png", help="where to (pvd-TRACK.png)")
    one.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    one.add_argument("--action", type=_pattern, metavar="REGEX",
        help="part of the actions' names to compare, for example '^m..' (the whole)")  # fmt: skip
    one.set_defaults(run=run_show)


def run_verify(args: argparse.Namespace) -> int:
    """Verify, print, and answer with the exit code."""
    track = Track.parse(args.track)
    read_manifest(args.lake, track)  # before a Milvus is started
    with pvd_store(Settings.load(home=args.home, milvus_uri=args.milvus_uri)) as uri:
        report = verify(args.lake, track, uri, sample=args.sample)
    if args.json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        print(report.text())
    return int(report.failed)


def run_rebuild(args: argparse.Namespace) -> int:
    """Rebuild and tell the stages; return 0."""
    clock = time.monotonic()
    rebuild(
        Track.parse(args.track),
        Settings.load(home=args.home, lake=args.lake, milvus_uri=args.milvus_uri),
        FillOptions(args.writers, bulk_of(args)),
        lambda line: print(f"[{time.monotonic() - clock:6.1f} s] {line}", flush=True),
    )
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Draw, print the numbers and where the pictures are; return 0."""
    track = Track.parse(args.track)
    out: Path = args.out or Path(f"pvd-{track.slug}.png")
    manifest = read_manifest(args.lake, track)
    splits = [split for split in SPLITS if manifest.splits.get(split)]
    tables = {
        split: NeighbourTable.read(args.lake, manifest, split, args.action) for split in splits
    }
    if args.split not in tables:
        raise LakeError(f"{track} has no {args.split} split in {args.lake}")
    apart = manifest.pvd is not None and manifest.pvd.exclude == "subject"
    stats = [
        one
        for split in splits
        for one in rank_stats(tables[split], tables["train"], apart and split == "train")
    ]
    print(f"{track}: squared distance to the neighbours, quantiles\n\n{in_words(stats)}\n")
    for split in splits:
        if manifest.splits[split].truth:
            own = distance_to_own_truth(tables[split].index, SAMPLE, args.seed)
            print(f"{split}: a detected window's distance to its own truth: {own:.4f} (median)")
    pictures = {out.with_name(f"{out.stem}-distances.png"): distances_plot(
        list(tables.values()), str(track)
    )}  # fmt: skip
    skeleton = track.info.skeleton
    if skeleton is None:
        print("SMPL rotations have no joints to draw without a body model: distances only")
    else:
        some = examples(tables[args.split], tables["train"], args.queries, args.seed)
        if not some:
            raise LakeError(f"{track}: no {args.split} window has a neighbour to show")
        title = f"{track}, {args.split} windows and their nearest training poses"
        pictures[out] = gallery(some, skeleton, title)
    for path, png in pictures.items():
        try:
            path.write_bytes(png)
        except OSError as error:
            raise LakeError(f"{path}: cannot be written ({error.strerror})") from None
        print(path)
    return 0


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=what, description=what[0].upper() + what[1:] + ".", epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("lake", metavar="LAKE", help="a folder, or a URI such as s3://bucket/lake")
    parser.add_argument("track", metavar="TRACK", help="dataset/estimator/representation")
    return parser


def _milvus(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("--milvus-uri", metavar="URI", default=os.environ.get("POISE_MILVUS_URI") or None,
        help="a Milvus (default: $POISE_MILVUS_URI, else an embedded server)")  # fmt: skip
    option("--home", type=Path,
        help="home of the embedded Milvus (default: $POISE_HOME, else .poise)")  # fmt: skip


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
