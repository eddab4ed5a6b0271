"""``poise check``: is a lake sound?"""

import argparse
import json

from poise.lake.checks.report import LEVELS, Report
from poise.lake.checks.track import check_lake

EXAMPLES = """examples:
  poise check .poise/lake
  poise check s3://motion/lake uiprmd/kinect/3D
  poise check .poise/lake --json | jq '.[] | select(.failed) | .track'

looks at:
  files        schema version, Parquet schema, content hashes, counts against the manifest
  sequences    finite values, frozen poses, truth equal to detections, duplicate names and ids
  people       subjects in both splits, body size (metres, or what it looks like), bone lengths
  windows      ids, order, neighbours that exist, never of the window's own subject in training

levels:
  error        do not train on this
  warning      look at it first
  note         good to know

exit code: 0 no error, 1 at least one, 2 the command is wrong or there is no such lake or track
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="validate a lake",
        description="Validate the tracks of a lake: files, poses, people, windows and neighbours.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("lake", metavar="LAKE", help="a folder, or a URI such as s3://bucket/lake")
    parser.add_argument(
        "tracks", metavar="TRACK", nargs="*", help="dataset/estimator/representation; default: all"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, print, and answer with the exit code."""
    reports = check_lake(args.lake, args.tracks)
    if args.json:
        print(json.dumps([report.to_json() for report in reports], indent=2, ensure_ascii=False))
    else:
        for report in reports:
            print(report.text(), end="\n\n")
        print(_summary(reports))
    return int(any(report.failed for report in reports))


def _summary(reports: list[Report]) -> str:
    counts = {level: sum(report.count(level) for report in reports) for level in LEVELS}
    found = ", ".join(f"{n} {level}{'s' if n != 1 else ''}" for level, n in counts.items() if n)
    tracks = f"{len(reports)} track{'s' if len(reports) != 1 else ''}"
    return f"{tracks}: {found or 'sound'}"
