"""How a keypoint file is to be read: options of all verbs that read one."""

from typing import Annotated

import typer

from poise.motion.units import Axis, Unit

_HOW = "How the file is read"

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
        help="whose joints they are, for example coco17, where the file does not say",
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
UpOption = Annotated[
    Axis | None, typer.Option(help="the axis that points up", rich_help_panel=_HOW)
]
