"""``poise check``: can a lake be trusted?"""

from typing import TYPE_CHECKING

from poise.cli.shared.options import JsonOutput, LakeAndTracks, lake_and_tracks, with_settings
from poise.cli.shared.output import print_json, say
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.lake.checks.report import Report

EXAMPLES = """
examples:
  poise check                                   the lake of the settings
  poise check s3://motion/lake uiprmd/kinect/3D
  poise check .poise/lake --json | jq '.[] | select(.failed) | .track'

looks at:
  files      schema version, Parquet schema, content hashes, counts against the
             manifest
  sequences  finite values, frozen poses, truth equal to detections, duplicate
             names and ids
  people     subjects in both splits, body size (metres, or what it looks
             like), bone lengths
  windows    ids, order, neighbours that exist, never of the window's own
             subject in training

levels:
  error        do not train on this
  warning      look at it first
  note         good to know

exit code: 0 no error, 1 at least one, 2 the command is wrong or there is no
such lake or track
"""


@with_settings("home", "lake")
def check(
    settings: Settings,
    where: LakeAndTracks = None,
    json: JsonOutput = False,
) -> int:
    """Validate a lake: files, poses, people, windows and neighbours."""
    from poise.lake.checks.track import check_lake

    lake, tracks = lake_and_tracks(settings, where or [])
    reports = check_lake(lake, tracks)
    if json:
        print_json([report.to_json() for report in reports])
    else:
        for report in reports:
            say(f"{report.text()}\n")
        print(_summary(reports))
    return int(any(report.failed for report in reports))


def _summary(reports: "list[Report]") -> str:
    from poise.lake.checks.report import LEVELS

    counts = {level: sum(report.count(level) for report in reports) for level in LEVELS}
    found = ", ".join(f"{n} {level}{'s' if n != 1 else ''}" for level, n in counts.items() if n)
    tracks = f"{len(reports)} track{'s' if len(reports) != 1 else ''}"
    return f"{tracks}: {found or 'sound'}"
