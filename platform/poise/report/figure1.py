"""The paper's Fig. 1: precision against smoothness (a), and disagreement against error (b)."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from poise.analysis.loss_ratio import RatioPoint, ratio_points
from poise.analysis.quality_correlation import pearson
from poise.catalog import published
from poise.catalog.tracks import Track
from poise.report.charts.panel import Axis, Panel
from poise.report.pages.document import Block, Cell, Picture, Section, Table, Text
from poise.report.refined.again import Floats, Refinery, first_seed
from poise.report.sweeps.trials import Method, Sweep
from poise.runtime.errors import DataError, PoiseError
from poise.runtime.settings import Settings
from poise_models.errors import RefinerError

_A = (
    "The more precision weighs in the loss (to the right), the smaller MPJPE and the larger Accel "
    "should be: one is bought with the other."
)
_B = (
    "Two networks, one trained for precision and one for smoothness. How far apart they are, frame "
    "by frame, tells how far off the input is, which nobody knows without a truth: Pearson's r."
)


def curves(sweep: Sweep) -> Iterator[Section]:
    """Draw Fig. 1(a), where a sweep has several weights of smoothness and all else alike."""
    try:
        points = list(reversed(ratio_points(sweep.folder.uri)))
    except DataError:
        return
    unit = points[0].unit
    pictures = [
        _curve(points, [one.mpjpe for one in points], f"MPJPE {unit}", "var(--c1)"),
        _curve(points, [one.accel for one in points], f"Accel {unit}/frame²", "var(--c2)"),
    ]
    yield Section("Fig. 1(a): the ratio of the losses", [Text(_A), *pictures])


def _curve(
    points: Sequence[RatioPoint], values: Sequence[float], name: str, colour: str
) -> Picture:
    names = ["1 : 0" if not one.smoothness else f"{1 / one.smoothness:g}" for one in points]
    across = Axis(-0.3, len(points) - 0.7, "weight of precision over smoothness", names=names)
    panel = Panel(across, Axis.over(values, name, room=0.15))
    places = [(float(at), value) for at, value in enumerate(values)]
    panel.line(places, colour, 2)
    for place in places:
        panel.dot(place, colour, f"{place[1]:.2f}")
    return Picture(panel.svg(), name)


def disagreement(
    track: str, methods: Sequence[Method], settings: Settings, say: Callable[[str], None]
) -> Iterator[Section]:
    """Correlate, as Fig. 1(b) does, how far two networks are apart with the input's error."""
    printed = next((row for row in published.rows("figure1b") if row.track == track), None)
    pair = [first_seed(method) for method in methods if method.finished]
    blocks: list[Block] = [Text(_B)]
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        blocks.append(Text("Both networks must have finished, and have not."))
    else:
        refinery, apart, off = Refinery(Track.parse(track), settings), [], []
        try:
            for one, other in zip(*pair, strict=True):
                say(f"refining again: {one.spec.name}, and {other.spec.title}")
                for a, b in zip(refinery.refined(one), refinery.refined(other), strict=True):
                    apart.append(_distance(a.refined_FJD, b.refined_FJD))
                    off.append(_distance(a.detected_FJD, a.truth_FJD))
            r = pearson(np.concatenate(apart), np.concatenate(off))
            told = f"{printed.metrics['pearson']:.2f}" if printed else "–"
            cells = [Cell(track), Cell(f"{r:+.2f}"), Cell(told)]
            blocks.append(Table(["Track", "r here", "r of the paper"], [cells]))
        except (PoiseError, RefinerError, OSError) as error:
            blocks.append(Text(f"Could not be refined again: {error}."))
    yield Section("Fig. 1(b): disagreement and error", blocks, level=3)


def _distance(one_FJD: Floats, other_FJD: Floats) -> Floats:
    """Mean distance of joints in each frame."""
    mean_F: Floats = np.linalg.norm(one_FJD - other_FJD, axis=-1).mean(axis=1)
    return mean_F
