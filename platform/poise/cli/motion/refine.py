"""``poise refine``: keypoint files in, clean motion out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.motion.reading import (
    FormatOption,
    FpsOption,
    SizeOption,
    SkeletonOption,
    UnitOption,
    UpOption,
    image_of,
    skeleton_of,
)
from poise.cli.shared.commands import resumable
from poise.cli.shared.options import JsonOutput
from poise.cli.shared.output import Screen, in_terminal, print_json, say
from poise.runtime.ticking import every_few_seconds

if TYPE_CHECKING:
    from poise.refining.files import Done, Task
    from poise.refining.options import Options

EXAMPLES = """
examples:
  poise refine clip.json                   writes clip.poise.json beside it
  poise refine clip.trc -o clean.trc --refiner butterworth --cutoff 6
  poise refine clip.trc --refiner butterworth --cutoff auto
  poise refine clip.json --plot clip.png --report clip.html
  poise refine takes/ -o clean/            every recording below the folder
  poise refine 'day1/*.csv' --fps 50 --json

refiners:
  poise:general   our network for any skeleton (without --refiner)
  butterworth savgol gaussian1d spline kalman oneeuro median
                  filters; --cutoff says how fast is too fast
  FOLDER, NAME@ALIAS
                  a checkpoint, or a registered model (--model)

Same frames, joints, units and format; the input is never written over, nor
what is there already, without --overwrite. What was filled, put right and
left alone is printed. Gaps of up to half a second are filled, longer ones
stay empty, and nothing is filled before a joint is seen first or after it is
seen last. Exit code 2 where a file could not be refined; the others are.
"""

#: Between two lines about a file that takes long.
_EVERY_S = 20.0
_WHAT = "What counts as seen"
_WHO = "Who is who"


def refine(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="keypoint files, folders of them, patterns"),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUTPUT",
            help="a file, or a folder for several inputs (beside them, as clip.poise.json)",
        ),
    ] = None,
    refiner: Annotated[
        str | None, typer.Option(metavar="NAME", help="a filter, or poise:general")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="a checkpoint folder, or a registered model"),
    ] = None,
    cutoff: Annotated[
        str | None,
        typer.Option(metavar="HZ|auto", help="of a filter (6); auto finds it by residual analysis"),
    ] = None,
    lag: Annotated[
        int | None,
        typer.Option(metavar="N", help="of a network: as a stream so many frames behind would"),
    ] = None,
    fill: Annotated[
        str,
        typer.Option(
            metavar="SECONDS|all|none", help="the longest gap to fill", rich_help_panel=_WHAT
        ),
    ] = "0.5",
    min_confidence: Annotated[
        float,
        typer.Option(metavar="X", help="less sure is taken for not seen", rich_help_panel=_WHAT),
    ] = 0.3,
    track: Annotated[
        bool | None,
        typer.Option(
            "--track/--no-track",
            help="find out who is who, or not (where the file does not say)",
            show_default=False,
            rich_help_panel=_WHO,
        ),
    ] = None,
    person: Annotated[
        list[str] | None,
        typer.Option(metavar="ID ...", help="only these (poise info)", rich_help_panel=_WHO),
    ] = None,
    format: FormatOption = None,
    skeleton: SkeletonOption = None,
    fps: FpsOption = None,
    unit: UnitOption = None,
    up: UpOption = None,
    size: SizeOption = None,
    rigid: Annotated[
        bool, typer.Option("--rigid", help="hold bones at their median lengths (3D)")
    ] = False,
    feet: Annotated[
        bool, typer.Option("--feet", help="hold feet where they stand (3D, positions in a room)")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="draw joints before and after (a folder for several files)"
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML",
            help="a page with the figures and the moving skeleton (a folder for several files)",
        ),
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="write over the inputs")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "--force", help="replace what is there already")
    ] = False,
    json: JsonOutput = False,
) -> int:
    """Clean the motion in keypoint files, and say what was done."""
    from poise.refining.files import Extras, refine_files, tasks_of

    named = _options(refiner, model, cutoff, fill, min_confidence, track, tuple(person or ()))
    options = replace(named, rigid=rigid, feet=feet, lag=lag)
    reading = {
        "format": format,
        "skeleton": skeleton_of(skeleton),
        "fps": fps,
        "unit": unit,
        "up": up,
    }
    extras = Extras(reading | {"image": image_of(size)}, plot, report, overwrite)
    tasks = tasks_of(inputs, output, in_place, overwrite)
    for option, place, ending in (("--plot", plot, ".png"), ("--report", report, ".html")):
        if place is not None and (place.suffix == ending) == (len(tasks) > 1):
            wanted = "a folder" if len(tasks) > 1 else f"a name that ends in {ending}"
            raise typer.BadParameter(f"{option} {place}: name {wanted}")
    waiting = [one for one in tasks if one.replaces or len(tasks) == 1 or not one.done]
    if len(waiting) < len(tasks):
        count = len(tasks) - len(waiting)
        say(f"{count} of {len(tasks)} are done already (--overwrite does them again)", aside=True)
    found: list[Done] = []
    goes_on = "the same command goes on with the files that are left"
    if len(waiting) == 1 and not options.is_filter:  # which takes seconds to load
        say(f"refining {waiting[0].source} by {options.refiner} ...", aside=True)
    with resumable(goes_on), Screen("refining") as screen, _told(screen) as at:
        for done in refine_files(waiting, options, extras, at=at):
            found.append(done)
            _show(done, len(found), waiting, screen, json)
    if json:
        print_json([one.report.to_json() for one in found if one.report])
    other = sum(1 for one in found if not one.report and not one.wrong)
    if other:
        say(f"{other} files in folders are no keypoint files", aside=True)
    return 2 if any(one.wrong for one in found) else 0


@contextmanager
def _told(screen: Screen) -> Iterator[Callable[[str], None]]:
    """Say every so often which stage of a long file this is; what is yielded takes the stages."""
    start, stage = time.monotonic(), ""

    def at(now: str) -> None:
        nonlocal stage
        stage = now

    def tell(number: int) -> None:
        if number > 1 and stage:
            line = f"{stage} ... {time.monotonic() - start:.0f} s"
            if in_terminal():
                screen.show(line)
            else:
                say(line, aside=True)

    with every_few_seconds(tell, _EVERY_S, "progress"):
        yield at


def _show(done: "Done", number: int, waiting: "list[Task]", screen: Screen, json: bool) -> None:
    from poise.refining.reporting.text import report_line, report_text

    screen.move(number, len(waiting), done.task.source.name)
    if done.wrong:
        say(f"poise: {done.wrong}", aside=True)
    elif done.report and not json:
        one = len(waiting) == 1
        screen.show(report_text(done.report) if one else report_line(done.report))


def _options(
    refiner: str | None,
    model: str | None,
    cutoff: str | None,
    fill: str,
    min_confidence: float,
    track: bool | None,
    people: tuple[str, ...],
) -> "Options":
    from poise.refining.options import FILTERS, Options

    if refiner and model:
        raise typer.BadParameter("--refiner and --model exclude each other")
    if refiner and refiner not in FILTERS and not refiner.startswith("poise:"):
        raise typer.BadParameter(
            f"--refiner {refiner}: there are {', '.join(FILTERS)} and poise:general; "
            "a network is named with --model"
        )
    if cutoff is not None and refiner not in FILTERS:
        raise typer.BadParameter("--cutoff is a filter's: add --refiner butterworth")
    given: dict[str, Any] = {"refiner": refiner or model} if refiner or model else {}
    if cutoff is not None:
        given["cutoff"] = cutoff if cutoff == "auto" else _number("--cutoff", cutoff)
    given["fill"] = {"all": float("inf"), "none": 0.0}.get(fill)
    if given["fill"] is None:
        given["fill"] = _number("--fill", fill)
    return Options(**given, min_confidence=min_confidence, track=track, people=people)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text}: is no number") from None
