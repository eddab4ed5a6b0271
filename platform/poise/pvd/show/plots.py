"""Pictures of the PVD: queries beside their neighbours (the paper's Fig. 9), and distances."""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from poise.pvd.show.examples import Example, Shown
from poise.pvd.show.statistics import NeighbourTable
from poise.pvd.show.stick_figures import Bone, View, bones, up_of
from poise.runtime.plotting import BLUE, GHOST, INK, ORANGE, new_figure, png
from poise_retrieval.geometry.skeletons import Skeleton

Plane = NDArray[np.float64]

_COLOURS: Final = {"left": BLUE, "right": ORANGE, "middle": INK}
#: How much of its colour the first frame keeps.
_PALE: Final = 0.36
_RANKS: Final = ("nearest", "second", "third")
_SPLIT_COLOURS: Final = {"train": ORANGE, "test": BLUE}
_WRAP: Final = 21
#: Colours of a picture's file.
_PALETTE: Final = 128
_DPI: Final = 120


def gallery(shown: Sequence[Example], skeleton: Skeleton, title: str) -> bytes:
    """Draw a column for each query: the detected window, then its neighbours; a PNG.

    First frame pale, last frame strong; behind a neighbour, in grey, the query's last frame. A
    column has one scale and one view, from before the person and a little to the side.

    Args:
        shown: 2D or 3D windows with their neighbours.
        skeleton: their joint order.
        title: of the figure.
    """
    depth = 1 + max(len(example.neighbours) for example in shown)
    figure = new_figure(0.5 + 1.75 * len(shown), 0.75 + 2.3 * depth, _DPI)
    panels = figure.subplots(depth, len(shown), squeeze=False)
    queries = [example.query.poses_TJD for example in shown]
    up = up_of(queries, skeleton) if queries[0].shape[-1] == 3 else None
    for column, example in enumerate(shown):
        _draw_column(list(panels[:, column]), example, skeleton, up)
    for name, panel in zip(("detected", *_RANKS), panels[:, 0], strict=False):
        style: Any = {"rotation": 90, "ha": "center", "va": "center", "fontsize": 11}
        panel.annotate(name, (-0.08, 0.5), xycoords="axes fraction", color=INK, **style)
    figure.suptitle(title, color=INK, fontsize=11.5, x=0.01, ha="left")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return png(figure, _PALETTE)


def distances_plot(tables: Sequence[NeighbourTable], track: str) -> bytes:
    """Draw histograms of the squared distances, a panel for each rank, a line for each split."""
    ranks = tables[0].neighbours.distances_BK.shape[1]
    figure = new_figure(0.6 + 3.4 * ranks, 3.1, _DPI)
    panels = figure.subplots(1, ranks, squeeze=False, sharex=True, sharey=True)[0]
    found = np.concatenate([table.neighbours.distances_BK.ravel() for table in tables])
    found = found[np.isfinite(found)]
    some = found if len(found) else np.ones(1, np.float32)
    edges = np.linspace(0.0, max(float(np.quantile(some, 0.99)), 1e-6), 61)
    for rank, panel in enumerate(panels):
        for table in tables:
            _draw_distances(panel, table, rank, edges)
        panel.set_title(f"{_RANKS[rank]} neighbour", color=INK, fontsize=10, loc="left")
        panel.set_xlabel("squared distance (last bin: all beyond)", color=INK)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
        panel.tick_params(colors=INK, labelsize=8)
    panels[0].set_ylabel("share of windows per bin", color=INK)
    panels[0].set_ylim(0.0, 1.3 * panels[0].get_ylim()[1])
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(frameon=False, fontsize=9, loc="upper right")
    figure.suptitle(f"{track}: how near the neighbours are", color=INK, fontsize=11)
    return png(figure, _PALETTE)


def _draw_distances(panel: Axes, table: NeighbourTable, rank: int, edges: Plane) -> None:
    distances = table.neighbours.distances_BK[:, rank]
    distances = distances[np.isfinite(distances)]
    if not len(distances):
        return
    counts, _ = np.histogram(distances.clip(max=edges[-1]), edges)
    colour, middle = _SPLIT_COLOURS[table.index.split], float(np.median(distances))
    panel.stairs(counts / len(distances), edges, color=colour, fill=True, alpha=0.15)
    label = f"{table.index.split}, median {middle:.3f}"
    panel.stairs(counts / len(distances), edges, color=colour, linewidth=1.4, label=label)
    panel.axvline(middle, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))


def _draw_column(
    panels: Sequence[Axes], example: Example, skeleton: Skeleton, up: Plane | None
) -> None:
    lines, query = bones(skeleton), example.query
    view = View.of(query.poses_TJD, skeleton, up)
    rows = [query, *example.neighbours]
    flat = [view.project(one.poses_TJD) for one in rows]
    corners = np.concatenate([one[[0, -1]].reshape(-1, 2) for one in flat])
    centre, reach = (corners.max(0) + corners.min(0)) / 2, (corners.max(0) - corners.min(0)) / 2
    height = max(float(reach[1]), float(reach[0]) * 1.25) * 1.06
    for row, (panel, one, flat_TJ2) in enumerate(zip(panels, rows, flat, strict=False)):
        panel.set_xlim(centre[0] - height / 1.25, centre[0] + height / 1.25)
        panel.set_ylim(centre[1] - height, centre[1] + height)
        if row:
            _draw_pose(panel, flat[0][-1], lines, ghost=True)
        _draw_pose(panel, flat_TJ2[0], lines, pale=True)
        _draw_pose(panel, flat_TJ2[-1], lines)
        head_x, head_y = flat_TJ2[-1, skeleton.pvd_joints[-1]]
        panel.scatter(head_x, head_y, s=26, color=INK, zorder=3)
        panel.set_title(_caption(one, row > 0), fontsize=8.5, color=INK, pad=3, linespacing=1.25)
    for panel in panels:
        panel.set_aspect("equal")
        panel.axis("off")


def _draw_pose(
    panel: Axes, pose_J2: Plane, lines: Sequence[Bone], pale: bool = False, ghost: bool = False
) -> None:
    segments = [(pose_J2[bone.first], pose_J2[bone.second]) for bone in lines]
    solid = [_COLOURS[bone.side] for bone in lines]
    colours = GHOST if ghost else [_paled(one) for one in solid] if pale else solid
    width, layer = (3.4, 1) if ghost else (2.0, 2)
    strokes = LineCollection(segments, colors=colours, linewidths=width, zorder=layer)
    strokes.set_capstyle("round")
    panel.add_collection(strokes)


def _paled(colour: str) -> tuple[float, ...]:
    return tuple(1.0 + _PALE * (part - 1.0) for part in to_rgb(colour))


def _caption(one: Shown, neighbour: bool) -> str:
    name = " ".join(one.action.replace("_", " ").split())
    action = textwrap.wrap(name, _WRAP, max_lines=2, placeholder="…") or [""]
    who = f"{one.subject}   d² = {one.distance:.3f}" if neighbour else one.subject
    return "\n".join([who, *action])


def _legend() -> list[Line2D]:
    def line(colour: Any, label: str, width: float = 2.0) -> Line2D:
        return Line2D([], [], color=colour, linewidth=width, label=label)

    return [
        line(_COLOURS["left"], "left side"),
        line(_COLOURS["right"], "right side"),
        line(_paled(INK), "first frame"),
        line(INK, "last frame"),
        line(GHOST, "the query's last frame", 3.4),
    ]
