"""What an analysis hands over: plain tables, figures as PNG, and the name of this machine."""

import io
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, PRECISION, SMOOTHNESS = "#22303c", "#2563a8", "#c2410c"


@dataclass(frozen=True)
class Findings:
    """What came out: dataclasses with the figures, the text to print, and what draws the plot."""

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


def machine() -> str:
    """Processor and threads that measurements were made with."""
    name = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        lines = listing.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}"
    )
