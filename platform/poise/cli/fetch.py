"""``poise fetch``: download open motion data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from poise.cli.shared.output import say

EXAMPLES = """
examples:
  poise fetch cmu --subjects 07,35 --to cmu            two people
  poise fetch cmu --subjects 1-144 --to cmu            everybody
  poise fetch cmu --subjects 12,14 --to asf --skeletons-only

Files come as cmu/07/07.asf and cmu/07/07_01.amc, and are listed in
cmu/SHA256SUMS; 'cd cmu; sha256sum --check SHA256SUMS' checks them. The same
command again goes on where it was stopped, leaves whole files alone, and
fetches changed ones anew, and says where the site gives others than before.
Next: poise mocap cmu --out data

The data used in this project was obtained from mocap.cs.cmu.edu. The database
was created with funding from NSF EIA-0196217. Free for all uses; not to be
resold as data.
"""


def fetch(
    source: Annotated[
        Literal["cmu"],
        typer.Argument(metavar="SOURCE", help="cmu: the CMU Graphics Lab Motion Capture Database"),
    ],
    subjects: Annotated[str, typer.Option(metavar="LIST", help="for example 01,02,7-9")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="where to")],
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="the site or a mirror")
    ] = "http://mocap.cs.cmu.edu",
    jobs: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=8, help="files at a time: it is a small server"),
    ] = 2,
    skeletons_only: Annotated[
        bool, typer.Option("--skeletons-only", help="only the .asf files")
    ] = False,
) -> int:
    """Download motion capture data from CMU: skeletons and takes."""
    from poise.mocap.download.cmu import CmuFiles, fetch_cmu, parse_subjects

    if not base_url.startswith(("http://", "https://")):
        raise typer.BadParameter(
            f"--base-url {base_url}: an address starts with http:// or https://"
        )
    files = CmuFiles(parse_subjects(subjects), to, base_url, skeletons_only)
    report = fetch_cmu(files, say, jobs)
    say(f"{len(report.fetched)} files fetched, {len(report.kept)} were there, in {to}")
    if report.changed:
        names = ", ".join(report.changed[:5]) + ", ..." * (len(report.changed) > 5)
        say(f"  {len(report.changed)} differ from what the site gave before: {names}", aside=True)
    for reason in report.failed:
        say(f"  {reason}", aside=True)
    return 1 if report.failed else 0
