"""What all figures of Poise share: colours, the look of their axes, and the way to a PNG."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Text and axes, then ever fainter: secondary marks, thin lines, background figures, grid.
INK, GREY, FAINT, GHOST, GRID = "#22303c", "#5b6770", "#8a97a3", "#c3cad1", "#e5e9ed"
#: Two hues that the colour-blind tell apart.
BLUE, ORANGE = "#2563a8", "#c2410c"


def new_figure(width: float, height: float, dpi: int = 144) -> Figure:
    """Return an empty figure that is drawn in memory; the size is in inches."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style_axes(panel: Axes, open_sides: tuple[str, ...] = ("top", "right")) -> None:
    """Give a panel the common look: a faint grid behind, some sides without a line."""
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    for side in open_sides:
        panel.spines[side].set_visible(False)
    panel.tick_params(colors=INK, labelsize=9)


def png(figure: Figure, palette: int | None = None) -> bytes:
    """Return a figure as a PNG.

    Args:
        figure: from `new_figure`.
        palette: so many colours in all, for a smaller file; None keeps every colour.
    """
    out = io.BytesIO()
    if palette is None:
        figure.savefig(out, format="png")
        return out.getvalue()
    from PIL import Image

    canvas: Any = figure.canvas
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(palette).save(out, format="png", optimize=True)
    return out.getvalue()
