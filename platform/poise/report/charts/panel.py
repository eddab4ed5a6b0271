"""Axes, lines, dots and words of a chart."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

#: Width of a letter and height of a line, as far as they can be told without a font.
LETTER: Final = 6.6
LINE: Final = 15.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 24.0, 40.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """From where to where an axis goes, and what it is about.

    Attributes:
        names: what stands at 0, 1, 2 ... instead of numbers.
        whole: whether there is nothing between whole numbers.
    """

    low: float
    high: float
    name: str = ""
    log: bool = False
    names: Sequence[str] = ()
    whole: bool = False

    @classmethod
    def over(
        cls, values: Sequence[float], name: str = "", log: bool = False, room: float = 0.06
    ) -> "Axis":
        """Return the axis on which some values lie, with some room at both ends."""
        known = [one for one in values if math.isfinite(one) and (one > 0 or not log)] or [1.0]
        low, high = min(known), max(known)
        if log:
            gap = max(math.log(high / low), 0.2)
            return cls(low / math.exp(room * gap), high * math.exp(room * gap), name, True)
        gap = (high - low) or abs(high) or 1.0
        return cls(low - room * gap, high + room * gap, name)

    def share(self, value: float) -> float:
        """Return how far along the axis a value is, from 0 to 1."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        value = max(value, self.low)
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return where a number stands beside the axis, and the number."""
        if self.names:
            return [(float(place), name) for place, name in enumerate(self.names)]
        if self.log:
            return [(value, f"{value:g}") for value in self._round_logs()]
        step = _step((self.high - self.low) / 5, self.whole)
        first = math.ceil(self.low / step)
        count = math.floor(self.high / step) - first + 1
        return [((first + k) * step, f"{(first + k) * step:g}") for k in range(count)]

    def _round_logs(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for parts in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
            found = [part * 10.0**ten for ten in decades for part in parts]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) >= 4:
                return inside
        return inside


@dataclass
class Panel:
    """A chart in the making, of so many units of width and height."""

    x: Axis
    y: Axis
    width: float = 420.0
    height: float = 260.0
    parts: list[str] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """Return where a point is drawn."""
        across, up = self.x.share(point[0]), self.y.share(point[1])
        return (
            _LEFT + across * (self.width - _LEFT - _RIGHT),
            self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM),
        )

    def line(
        self, points: Sequence[Point], colour: str, thick: float = 1.6, dash: str = ""
    ) -> None:
        """Draw a line through points; those that are not finite are left out."""
        where = " ".join(
            f"{x:.1f},{y:.1f}" for x, y in map(self.at, points) if math.isfinite(x + y)
        )
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{thick:g}" '
            f'stroke-linejoin="round"{dashed}/>'
        )

    def dot(self, point: Point, colour: str, said: str = "", hollow: bool = False) -> None:
        """Draw a dot, which says what it is when a pointer is over it."""
        x, y = self.at(point)
        fill = "var(--paper)" if hollow else colour
        title = f"<title>{html.escape(said)}</title>" if said else ""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" '
            f'stroke-width="1.6">{title}</circle>'
        )

    def word(self, place: Point, text: str, anchor: str = "start", kind: str = "") -> None:
        """Write a word; ``place`` is in units of the chart."""
        named = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{anchor}"{named}>'
            f"{html.escape(text)}</text>"
        )

    def stroke(self, start: Point, end: Point) -> None:
        """Draw a thin line; both ends are in units of the chart."""
        self.parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            'class="axis"/>'
        )

    def svg(self, legend: Sequence[tuple[str, str]] = ()) -> str:
        """Return the chart with its axes; below it the names and colours of its lines."""
        rows = _rows(legend, self.width)
        high = self.height + LINE * len(rows)
        words = [
            f'<rect x="{x:.1f}" y="{self.height + LINE * row - 9:.1f}" width="14" height="4" '
            f'fill="{colour}"/><text x="{x + 19:.1f}" y="{self.height + LINE * row - 4:.1f}">'
            f"{html.escape(name)}</text>"
            for row, entries in enumerate(rows, start=1)
            for x, name, colour in entries
        ]
        body = "".join([*self._axes(), *self.parts, *words])
        return f'<svg viewBox="0 0 {self.width:g} {high:g}" role="img">{body}</svg>'

    def _axes(self) -> list[str]:
        found = []
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        for value, text in self.y.ticks():
            y = self.at((self.x.low, value))[1]
            found.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>'
            )
            found.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        for value, text in self.x.ticks():
            x = self.at((value, self.y.low))[0]
            found.append(
                f'<text x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">'
                f"{html.escape(text)}</text>"
            )
        found.append(
            f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" class="axis"/>'
            f'<text x="{(_LEFT + right) / 2:.0f}" y="{bottom + 32:.0f}" text-anchor="middle">'
            f"{html.escape(self.x.name)}</text>"
        )
        if self.y.name:
            found.append(f'<text x="4" y="12">{html.escape(self.y.name)}</text>')
        return found


def _step(least: float, whole: bool) -> float:
    """Return a round step that is not smaller."""
    if whole and least < 1:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(least))
    return next(ten * part for part in _STEPS if ten * part >= least * 0.999)


def _rows(legend: Sequence[tuple[str, str]], width: float) -> list[list[tuple[float, str, str]]]:
    """Break a legend into lines."""
    rows: list[list[tuple[float, str, str]]] = []
    x = width
    for name, colour in legend:
        wide = 19 + LETTER * len(name) + 14
        if x + wide > width - _RIGHT:
            rows.append([])
            x = 8.0
        rows[-1].append((x, name, colour))
        x += wide
    return rows
