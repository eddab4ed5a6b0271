"""Precision against smoothness: a dot a refiner, lower left is better."""

from collections.abc import Sequence
from typing import Final

from poise.evaluation.tables import metric_names
from poise.report.charts.colours import colour_of
from poise.report.charts.panel import LETTER, LINE, Axis, Panel, Point
from poise.report.results import Row, whole

_WIDE, _HIGH = 760.0, 460.0
#: Where a word may stand beside its dot: nearest and most natural first.
_PLACES: Final = tuple(
    (dx * reach, dy * reach)
    for reach in (1.0, 1.8, 2.8, 4.0, 5.5)
    for dx, dy in ((10, 4), (-10, 4), (0, -9), (0, 18), (9, -7), (9, 14), (-9, -7), (-9, 14))
)
_Box = tuple[float, float, float, float]


def plane(rows: Sequence[Row]) -> str:
    """Draw MPJPE (across) against Accel (up, logarithmic), ours filled, the paper's hollow."""
    shown = [row for row in whole(rows) if row.mean("accel") < float("inf")]
    ours = [(row.mean("mpjpe"), max(row.mean("accel"), 1e-3)) for row in shown]
    theirs = [_published(row) for row in shown]
    every = [*ours, *(point for point in theirs if point)]
    unit = next((row.line.unit for row in shown if row.line), "")
    precision, _, smoothness = metric_names(unit)
    panel = Panel(
        Axis.over([x for x, _ in every], precision, room=0.12),
        Axis.over([y for _, y in every], smoothness, log=True, room=0.1),
        _WIDE,
        _HIGH,
    )
    taken: list[_Box] = []
    for row, point, other in zip(shown, ours, theirs, strict=True):
        colour = colour_of(row.method.refiner) if row.method else ""
        if other:
            panel.line([point, other], colour, 0.8, "3 3")
            panel.dot(other, colour, f"{row.title}, published", hollow=True)
        panel.dot(point, colour, f"{row.title}: {point[0]:.2f}, {point[1]:.2f}")
        x, y = panel.at(point)
        taken.append((x - 5, y - 5, x + 5, y + 5))
    order = sorted(range(len(shown)), key=lambda at: not shown[at].stands_out)
    for at in order:
        _name(panel, shown[at], panel.at(ours[at]), taken)
    return panel.svg()


def _published(row: Row) -> Point | None:
    told = row.paper.metrics if row.paper else {}
    return (told["mpjpe"], told["accel"]) if {"mpjpe", "accel"} <= set(told) else None


def _name(panel: Panel, row: Row, dot: Point, taken: list[_Box]) -> None:
    """Write a refiner's name where it covers least."""
    wide = LETTER * len(row.title)
    best = min(_PLACES, key=lambda place: _cost(_box(dot, place, wide), taken, panel, place))
    box = _box(dot, best, wide)
    if max(map(abs, best)) > 20:
        middle = min(max(dot[0], box[0]), box[2]), min(max(dot[1], box[1]), box[3])
        panel.stroke(dot, middle)
    panel.word((box[0], box[3] - 4), row.title, kind="strong" if row.stands_out else "")
    taken.append(box)


def _box(dot: Point, place: Point, wide: float) -> _Box:
    x, y = dot[0] + place[0], dot[1] + place[1]
    left = x if place[0] > 0 else x - wide if place[0] < 0 else x - wide / 2
    return left, y - LINE + 4, left + wide, y + 4


def _cost(box: _Box, taken: Sequence[_Box], panel: Panel, place: Point) -> float:
    """Return the area covered or out of the picture, and a little for the way."""
    inside = _overlap(box, (50.0, 24.0, panel.width, panel.height - 44))
    out = (box[2] - box[0]) * (box[3] - box[1]) - inside
    far = 0.05 * (abs(place[0]) + abs(place[1]))
    return sum(_overlap(box, other) for other in taken) + out + far


def _overlap(one: _Box, other: _Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
