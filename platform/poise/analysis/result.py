"""What an analysis gives back, and how its tables and figures are drawn."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PRECISION, SMOOTHNESS = "#22303c", "#2563a8", "#c2410c"


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


def aligned(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table as text: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    lines = [header, ["─" * width for width in widths], *body]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def canvas(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of panels side by side."""
    figure = Figure(figsize=(5.6 * panels + 0.6, 4.4), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, panels, squeeze=False).ravel())
    for panel in axes:
        panel.grid(color="#e5e9ed", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines["top"].set_visible(False)
        panel.tick_params(colors=INK, labelsize=9)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure's picture."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
