"""Learning curves: errors on the people held out, epoch by epoch."""

from collections.abc import Iterator, Sequence

from poise.report.charts.colours import colour_of
from poise.report.charts.panel import Axis, Panel
from poise.report.pages.document import Picture
from poise.report.sweeps.trials import Method, Trial
from poise_models import catalogue

_FEWEST = 2


def learning_curves(methods: Sequence[Method]) -> Iterator[Picture]:
    """Draw a panel for each network: a line a trial, with a dot where its weights were kept."""
    networks = [one for one in methods if catalogue.trains(one.refiner) and _curves(one)]
    values = [y for one in networks for _, points in _curves(one) for _, y in points]
    if not values:
        return
    y = Axis.over(values, "MPJPE", room=0.1)
    for method in networks:
        curves = _curves(method)
        last = max(points[-1][0] for _, points in curves)
        panel = Panel(Axis(0.8, last + 0.2, "epoch", whole=True), y, 330, 200)
        for trial, points in curves:
            colour = colour_of(method.refiner)
            panel.line(points, colour, 1.2)
            kept = _kept(trial)
            panel.dot(next(p for p in points if p[0] == kept), colour, trial.spec.name)
        yield Picture(panel.svg(), method.title)


def _curves(method: Method) -> list[tuple[Trial, list[tuple[float, float]]]]:
    found = []
    for trial in method.trials:
        points = [
            (float(e.epoch), e.metrics["mpjpe"])
            for e in trial.history
            if {"mpjpe", "score"} <= set(e.metrics)
        ]
        if len(points) >= _FEWEST:
            found.append((trial, points))
    return found


def _kept(trial: Trial) -> int:
    scored = [epoch for epoch in trial.history if {"mpjpe", "score"} <= set(epoch.metrics)]
    return min(scored, key=lambda epoch: epoch.metrics["score"]).epoch
