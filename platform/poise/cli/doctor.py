"""``poise doctor``: is this set-up well, and what mends it?"""

import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.shared.options import JsonOutput, with_settings
from poise.cli.shared.output import print_json, say
from poise.doctor.finding import Status
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.doctor.finding import Finding
    from poise.doctor.in_force import InForce

EXAMPLES = """
examples:
  poise doctor
  RAY_ADDRESS=10.0.0.5:6379 poise doctor --tracking-uri http://mlflow:5000
  poise doctor --json | jq '.checks[] | select(.status == "failed")'
  poise doctor --cluster cluster.yaml            before ray up

looks at:
  settings   every one, and where it came from; variables that nobody reads
  packages   Python and packages beside the pins
  machine    memory, shared memory, open files, disks, ports, proxies
  gpu        GPU and torch's build, used once
  ray        the cluster answers, takes the token, runs one version on all
             nodes, whose clocks agree; nothing joins it
  mlflow     the store or server answers and can be written; the models of its
             registry have their files
  lake       manifests and parts are there (poise check reads them)
  milvus     collections, rows and index are what the lake says

signs:
  ✓ ok   ! warning: works, perhaps not for long   ✗ failed, and its cure
  · skipped: this set-up does not use it

Nothing is started and nothing stays. It ends within ten seconds, whatever
hangs. On a cluster run it on the head and wherever jobs are submitted.

exit code: 0 nothing failed, 1 something did, 2 the command is wrong
"""

_SIGNS: dict[Status, str] = {"failed": "✗", "warning": "!", "ok": "✓", "skipped": "·"}
_WIDTH, _NAME_WIDTH = 100, 22


@with_settings("home", "data", "lake", "milvus_uri", "tracking_uri", "smpl")
def doctor(
    settings: Settings,
    context: typer.Context,
    cluster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="look only at this file of ray up, for what Ray takes silently"
        ),
    ] = None,
    json: JsonOutput = False,
) -> int:
    """See what is wrong with this set-up, and how to mend it."""
    begun = time.monotonic()
    shown: list[InForce] = []
    if cluster is not None:
        from poise.doctor.cluster_file import check_file

        findings = list(check_file(cluster))
    else:
        from poise.doctor.examine import examine
        from poise.doctor.in_force import in_force

        options = {name for name, value in context.params.items() if value is not None}
        shown, findings = in_force(settings, options), examine(settings)
    counts = Counter(finding.status for finding in findings)
    seconds = time.monotonic() - begun
    if json:
        print_json(
            {
                "healthy": not counts["failed"],
                "seconds": round(seconds, 1),
                "settings": [vars(one) for one in shown],
                "checks": [finding.to_json() for finding in findings],
            }
        )
    else:
        _print(shown, findings)
        told = [
            f"{counts[status]} {status}{'s' if status == 'warning' and counts[status] > 1 else ''}"
            for status in _SIGNS
            if counts[status]
        ]
        say(f"\n{', '.join(told)} in {seconds:.1f} s")
    return int(counts["failed"] > 0)


def _print(shown: "Sequence[InForce]", findings: "Sequence[Finding]") -> None:
    if shown:
        say("settings in force")
        widest = max(len(one.value) for one in shown)
        for one in shown:
            say(f"  {one.name:{_NAME_WIDTH}}{one.value:{min(widest, 50)}}  {one.origin}")
        say("")
    for finding in findings:
        lines = _wrapped(finding.found)
        say(f"{_SIGNS[finding.status]} {finding.name:{_NAME_WIDTH}}{lines[0]}")
        for line in [*lines[1:], *(_wrapped(finding.cure, "→ ") if finding.cure else ())]:
            say(f"  {'':{_NAME_WIDTH}}{line}")


def _wrapped(text: str, first: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH - _NAME_WIDTH - 2,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
