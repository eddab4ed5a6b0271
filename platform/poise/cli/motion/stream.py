"""``poise stream``: a recording through a service's stream, as a camera would send it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli.motion.reading import (
    FormatOption,
    FpsOption,
    SkeletonOption,
    UnitOption,
    skeleton_of,
)
from poise.cli.shared.options import JsonOutput
from poise.cli.shared.output import Screen, print_json, say

EXAMPLES = """
examples:
  poise serve --model poise:general        in another terminal
  poise stream sample                      MediaPipe on somebody who walks
  poise stream clip.json --lag 8 -o clean.json
  poise stream clip.trc --url http://host:8000 --json

Plays a keypoint file at its frame rate through WS /v1/stream, all its people,
and says how late refined frames are: from the frame that was waited for to
its answer. $POISE_TOKEN is shown where it is set. A program does the same
with poise.client.Client(url).stream().
"""


def stream(
    source: Annotated[
        str, typer.Argument(metavar="FILE|sample", help="a keypoint file, or what comes with Poise")
    ],
    url: Annotated[
        str, typer.Option(metavar="URL", help="of the service")
    ] = "http://127.0.0.1:8000",
    lag: Annotated[
        int | None,
        typer.Option(metavar="FRAMES", help="later frames that each one waits for"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="what comes back, as a keypoint file"),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="ID", help="whom (everybody; poise info)")
    ] = None,
    speed: Annotated[
        float, typer.Option(metavar="X", help="times as fast as it was recorded")
    ] = 1.0,
    format: FormatOption = None,
    skeleton: SkeletonOption = None,
    fps: FpsOption = None,
    unit: UnitOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace FILE of --output if it exists")
    ] = False,
    json: JsonOutput = False,
) -> None:
    """Play a recording through a running service, frame by frame."""
    if not speed > 0:
        raise typer.BadParameter(f"--speed {speed}: must be above 0")
    from poise.client.client import Client
    from poise.client.playing import SAMPLE, play, sample_path
    from poise.motion.files import read
    from poise.runtime.places import must_be_free
    from poise.runtime.settings import Settings

    if output is not None:
        must_be_free(output, overwrite)

    path = sample_path() if source == SAMPLE and not Path(source).is_file() else Path(source)
    motion = read(path, format=format, skeleton=skeleton_of(skeleton), fps=fps, unit=unit)
    if person is not None:
        motion.person(person)  # or nobody is called that
    place = None if person is None else motion.people.index(person)
    client = Client(url, Settings.current().token)
    with Screen("streaming") as screen:
        played = play(
            client,
            motion,
            place,
            lag,
            speed,
            lambda done, total: screen.move(done, total, path.name),
        )
    if output is not None:
        played.motion.write(output)
    back = len(motion) - played.lost
    found: dict[str, Any] = {
        "frames": len(motion),
        "people": len(played.motion.people) if person is None else 1,
        "back": back,
        "fps": played.fps,
        "lag": played.lag,
        "late_ms_p50": round(played.late_ms(0.5), 2),
        "late_ms_p99": round(played.late_ms(0.99), 2),
    }
    if json:
        print_json(found)
        return
    of_many = f" of {found['people']} people" if found["people"] > 1 else ""
    say(
        f"{len(motion)} frames{of_many} at {played.fps:g} fps, {back} came back, lag {played.lag} "
        f"({1e3 * played.lag / played.fps:.0f} ms)\n"
        f"late beyond the lag: p50 {found['late_ms_p50']} ms, p99 {found['late_ms_p99']} ms "
        f"(a frame is {1e3 / played.fps:.1f} ms)"
        + (f"\nwrote {output}" if output is not None else "")
    )
