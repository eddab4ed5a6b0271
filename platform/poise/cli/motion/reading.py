"""How a keypoint file is to be read: options of all verbs that read one."""

import re
from pathlib import Path
from typing import Annotated

import typer

from poise.motion.units import Axis, Unit

_HOW = "How the file is read"
_SIZE = re.compile(r"(\d{1,6})([x:])(\d{1,6})")

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FORMAT",
        help="its format (told by the content; poise formats lists them)",
        rich_help_panel=_HOW,
    ),
]
SkeletonOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="whose joints they are, where the file does not say: coco17, own.toml",
        rich_help_panel=_HOW,
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        metavar="FPS",
        help="frames a second, where the file does not say or is wrong",
        rich_help_panel=_HOW,
    ),
]
UnitOption = Annotated[
    Unit | None,
    typer.Option(help="of the coordinates; nothing is scaled", rich_help_panel=_HOW),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH|W:H",
        help="of the image, where coordinates are shares of it: 1920x1080, or 16:9",
        rich_help_panel=_HOW,
    ),
]
UpOption = Annotated[
    Axis | None, typer.Option(help="the axis that points up", rich_help_panel=_HOW)
]


def image_of(size: str | None) -> tuple[float, float] | None:
    """Return width and height that --size says; of a shape alone, the height is 1."""
    if size is None:
        return None
    found = _SIZE.fullmatch(size.strip().lower().replace("\u00d7", "x"))
    width, height = (int(found[1]), int(found[3])) if found else (0, 0)
    if not found or not width or not height or (found[2] == "x" and height == 1):
        raise typer.BadParameter(f"--size {size}: say 1920x1080, or 16:9")
    return (width / height, 1.0) if found[2] == ":" else (float(width), float(height))


def skeleton_of(name: str | None) -> str | Path | None:
    """Return the joint set that --skeleton names, or the file of one's own joints."""
    return Path(name) if name and name.endswith(".toml") else name
