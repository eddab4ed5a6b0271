"""What an analysis gives back, and the panels of its figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poise.runtime.plotting import new_figure, style_axes


@dataclass(frozen=True)
class AnalysisResult:
    """What an analysis gives back.

    Attributes:
        rows: the figures, as dataclasses of plain values.
        text: the figures as a table, with what has to be said beside them.
        picture: draws them as a PNG; None where there is nothing to draw.
    """

    rows: Sequence[Any]
    text: str
    picture: Callable[[], bytes] | None = None


def side_by_side(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a new figure and its panels, which stand side by side."""
    figure = new_figure(5.6 * panels + 0.6, 4.4)
    axes = list(figure.subplots(1, panels, squeeze=False).ravel())
    for panel in axes:
        style_axes(panel, open_sides=("top",))
    return figure, axes
