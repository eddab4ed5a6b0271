"""Precision against smoothness: one point a refiner, one panel a track."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from poise.evaluation.tables import Entry, Line, lines, metric_names
from poise.runtime.plotting import BLUE, FAINT, GREY, INK, ORANGE, new_figure, png, style_axes
from poise_models import catalogue

_LEARNED, _FILTER, _INPUT = ORANGE, BLUE, GREY
_DOT = 8.0
#: Where a label may stand relative to its point, in points; nearest and most natural first.
_PLACES = tuple(
    (dx * reach, dy * reach)
    for reach in (1.0, 1.8, 2.8, 4.0)
    for dx, dy in ((9, 0), (-9, 0), (0, 11), (0, -11), (8, 9), (8, -9), (-8, 9), (-8, -9))
)


def precision_plot(entries: Sequence[Entry]) -> bytes:
    """Draw MPJPE (across) against Accel (up, logarithmic) as a PNG; lower left is better."""
    tables = lines(entries)
    columns = min(len(tables), 3)
    depth = -(-len(tables) // columns)
    figure = new_figure(1.2 + 5.6 * columns, 0.6 + 4.2 * depth)
    canvas: Any = figure.canvas
    panels = figure.subplots(depth, columns, squeeze=False).ravel()
    for panel, (track, table) in zip(panels, tables.items(), strict=False):
        _draw(panel, track, table)
    for panel in panels[len(tables) :]:
        panel.set_visible(False)
    canvas.draw()
    for panel, table in zip(panels, tables.values(), strict=False):
        _label(panel, table, canvas.get_renderer())
    return png(figure)


def _draw(panel: Axes, track: str, table: Sequence[Line]) -> None:
    precision, _, smoothness = metric_names(table[0].unit)
    for line in table:
        x, y = _point(line)
        panel.scatter(x, y, s=_DOT**2, color=_colour(line), zorder=3, edgecolors="white")
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.margins(0.16, 0.14)
    style_axes(panel)
    panel.set_xlabel(f"precision: {precision}", color=INK)
    panel.set_ylabel(f"smoothness: {smoothness}", color=INK)
    panel.set_title(f"{track}  (lower left is better)", color=INK, fontsize=11, loc="left")


def _label(panel: Axes, table: Sequence[Line], renderer: RendererAgg) -> None:
    frame = panel.get_window_extent(renderer)
    dots = [panel.transData.transform(_point(line)) for line in table]
    radius = _DOT * panel.get_figure().dpi / 72 / 2  # type: ignore[union-attr]
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in dots]
    for line in table:
        weight = "bold" if line.cells["mpjpe"].best or line.cells["accel"].best else "normal"
        note = panel.annotate(
            line.title,
            _point(line),
            _PLACES[0],
            textcoords="offset points",
            fontsize=9,
            color=_colour(line),
            fontweight=weight,
            zorder=4,
        )
        taken.append(_settled(note, frame, taken, renderer))


def _settled(note: Annotation, frame: Bbox, taken: Sequence[Bbox], renderer: RendererAgg) -> Bbox:
    best, least = _PLACES[0], float("inf")
    for place in _PLACES:
        _move(note, place)
        box = note.get_window_extent(renderer)
        cost = sum(_overlap(box, other) for other in taken)
        cost += box.width * box.height - _overlap(box, frame)
        if cost < least:
            best, least = place, cost
        if cost <= 0:
            break
    _move(note, best)
    if max(map(abs, best)) > 20:
        note.axes.annotate(  # type: ignore[union-attr]
            "",
            note.xy,
            best,
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.7},
        )
    return note.get_window_extent(renderer)


def _move(note: Annotation, place: tuple[float, float]) -> None:
    dx, dy = place
    note.xyann = place
    note.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
    note.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")


def _overlap(one: Bbox, other: Bbox) -> float:
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else float(shared.width * shared.height)


def _point(line: Line) -> tuple[float, float]:
    # A logarithmic axis has no place for a perfectly straight motion.
    return line.cells["mpjpe"].mean, max(line.cells["accel"].mean, 1e-3)


def _colour(line: Line) -> str:
    if line.refiner == "input":
        return _INPUT
    return _LEARNED if catalogue.learns(line.refiner) else _FILTER
