"""``poise fetch``: download open motion data."""

import argparse
import sys
from pathlib import Path

from poise.mocap.download.cmu import CMU_URL, SUMS, TERMS, fetch_cmu, parse_subjects
from poise.mocap.download.http import FetchError

EXAMPLES = f"""examples:
  poise fetch cmu --subjects 07,35 --to cmu            two people
  poise fetch cmu --subjects 1-144 --to cmu            everybody
  poise fetch cmu --subjects 12,14 --to asf --skeletons-only

Files come as cmu/07/07.asf and cmu/07/07_01.amc, and are listed in cmu/{SUMS}; 'cd cmu;
sha256sum --check {SUMS}' checks them. The same command again goes on where it was stopped,
leaves whole files alone, and fetches changed ones anew. Next: poise convert cmu --out data

{TERMS}
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "fetch",
        help="download motion capture data from CMU",
        description="Download skeletons and takes of the CMU Motion Capture Database.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("source", choices=["cmu"], help="the CMU Graphics Lab Motion Capture Database")
    option("--subjects", required=True, metavar="LIST", help="for example 01,02,7-9")
    option("--to", type=Path, required=True, metavar="FOLDER", help="where to")
    option("--base-url", default=CMU_URL, metavar="URL", help=f"the site or a mirror ({CMU_URL})")
    option("--jobs", type=int, default=2, choices=range(1, 9), metavar="N",
        help="files at a time, 1 to 8 (2): it is a small server")  # fmt: skip
    option("--skeletons-only", action="store_true", help="only the .asf files")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch; return 1 where files are missing."""
    if not args.base_url.startswith(("http://", "https://")):
        raise FetchError(f"--base-url {args.base_url}: an address starts with http:// or https://")
    outcome = fetch_cmu(
        parse_subjects(args.subjects),
        args.to,
        args.base_url,
        args.jobs,
        args.skeletons_only,
        report=lambda line: print(line, flush=True),
    )
    print(f"{len(outcome.fetched)} files fetched, {len(outcome.kept)} were there, in {args.to}")
    for reason in outcome.failed:
        print(f"  {reason}", file=sys.stderr)
    return 1 if outcome.failed else 0
