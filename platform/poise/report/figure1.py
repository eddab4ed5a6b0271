"""The paper's Fig. 1(a): precision against smoothness."""

from collections.abc import Iterator, Sequence

from poise.analysis.loss_ratio import RatioPoint, ratio_points
from poise.report.charts.panel import Axis, Panel
from poise.report.pages.document import Picture, Section, Text
from poise.report.sweeps.trials import Sweep
from poise.runtime.errors import DataError

_A = (
    "The more precision weighs in the loss (to the right), the smaller MPJPE and the larger Accel "
    "should be: one is bought with the other."
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
