"""Fig. 1(a): precision against smoothness over the ratio of their losses, from a finished sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from poise.analysis.result import AnalysisResult, side_by_side
from poise.experiments.records import SweepFolder
from poise.runtime.errors import DataError
from poise.runtime.plotting import BLUE, INK, ORANGE, png
from poise.runtime.storage import Location
from poise.runtime.text.table import text_table


@dataclass(frozen=True)
class RatioPoint:
    """What one weight of smoothness led to, as the mean over seeds.

    Attributes:
        smoothness: factor on all acceleration losses.
        mpjpe: mean joint error, in `unit`.
        accel: acceleration error, in `unit` per frame².
        seeds: how many trials the means are of.
        epochs: of the longest trial.
        unit: of the track's errors.
    """

    smoothness: float
    mpjpe: float
    accel: float
    seeds: int
    epochs: int
    unit: str


def analyse(sweep: Location) -> AnalysisResult:
    """Read both curves from a sweep's folder; see `ratio_points`."""
    points = ratio_points(sweep)
    return AnalysisResult(points, ratio_table(points), partial(ratio_plot, points))


def ratio_points(sweep: Location) -> list[RatioPoint]:
    """Read the finished trials of a sweep's last submission, a point for each smoothness.

    Args:
        sweep: the sweep's folder, for example ``.poise/sweeps/figure1a``.

    Returns:
        The points, in rising order of smoothness.

    Raises:
        DataError: it is no sweep's folder, has fewer than two factors finished, or trials that
            differ in more than factor and seed.
    """
    folder = SweepFolder(str(sweep))
    if not folder.exists():
        raise DataError(f"{sweep} holds no sweep.json: name a sweep's folder, HOME/sweeps/figure1a")
    groups: dict[float, list[RatioPoint]] = {}
    alike = set()
    for key in folder.header()["trials"]:
        trial = folder.trial(key)
        spec, result = trial.spec(), trial.result()
        if spec is None or result is None or result.row is None:
            continue
        if "smoothness" not in spec.settings:
            continue
        others = {name: value for name, value in spec.settings.items() if name != "smoothness"}
        alike.add((spec.track, spec.refiner, str(others), str(spec.budget)))
        row, factor = result.row, float(spec.settings["smoothness"])
        point = RatioPoint(factor, row.mpjpe, row.accel, 1, len(trial.history()), row.unit)
        groups.setdefault(factor, []).append(point)
    if len(groups) < 2:
        raise DataError(
            f"{sweep} has finished trials of {len(groups)} values of `smoothness`, and a curve "
            "takes two at least: run poise sweep --plan figure1a to its end"
        )
    if len(alike) > 1:
        raise DataError(f"{sweep}: trials differ in more than `smoothness` and seed")
    return [_mean(groups[factor]) for factor in sorted(groups)]


def ratio_table(points: Sequence[RatioPoint]) -> str:
    """The points of both curves as a text table."""
    unit = points[0].unit
    errors = [f"MPJPE {unit}", f"Accel {unit}/frame²"]
    header = ["smoothness", "precision : smoothness", *errors, "seeds", "epochs"]
    body = [
        [
            f"{point.smoothness:g}",
            _ratio(point.smoothness),
            f"{point.mpjpe:.2f}",
            f"{point.accel:.2f}",
            str(point.seeds),
            str(point.epochs),
        ]
        for point in points
    ]
    return text_table(header, body)


def ratio_plot(points: Sequence[RatioPoint]) -> bytes:
    """Draw both curves over the ratio as a PNG, with precision weighing more to the right."""
    order = list(reversed(points))
    figure, (left,) = side_by_side()
    right = left.twinx()
    place = range(len(order))
    unit = points[0].unit
    curves = (
        (left, [p.mpjpe for p in order], BLUE, f"MPJPE {unit}", "o"),
        (right, [p.accel for p in order], ORANGE, f"Accel {unit}/frame²", "s"),
    )
    for axis, values, colour, label, marker in curves:
        axis.plot(place, values, color=colour, marker=marker, linewidth=1.8)
        axis.set_ylabel(label, color=colour)
        axis.tick_params(axis="y", colors=colour)
    right.spines["top"].set_visible(False)
    left.set_xticks(place, [_ratio(p.smoothness) for p in order])
    left.set_xlabel("weight of precision : weight of smoothness", color=INK)
    left.set_title("Precision against smoothness (lower is better)", color=INK, fontsize=11)
    return png(figure)


def _ratio(smoothness: float) -> str:
    return "1 : 0" if smoothness == 0 else f"{1 / smoothness:g}"


def _mean(points: Sequence[RatioPoint]) -> RatioPoint:
    first = points[0]
    mpjpe, accel = fmean(p.mpjpe for p in points), fmean(p.accel for p in points)
    epochs = max(p.epochs for p in points)
    return RatioPoint(first.smoothness, mpjpe, accel, len(points), epochs, first.unit)
