"""Curves of several methods in one chart: error spectra, and expected against observed errors."""

from collections.abc import Sequence

from poise.analysis.uncertainty import OBSERVED, Calibration
from poise.report.charts.colours import colour_of
from poise.report.charts.panel import Axis, Panel
from poise.report.refined.measured import Measured


def spectra(shown: Sequence[Measured], unit: str) -> str:
    """Draw the power of errors over frequencies, logarithmic upwards."""
    curves = [(one, one.density_K[1:]) for one in shown if one.density_K is not None]
    values = [float(value) for _, density_K in curves for value in density_K]
    hertz = [float(value) for value in curves[0][0].hertz_K[1:]]
    panel = Panel(
        Axis(0, hertz[-1], "Hz"), Axis.over(values, f"{unit}² / Hz", log=True, room=0.03), 760, 380
    )
    legend = []
    for one, density_K in curves:
        refiner = one.method.refiner
        colour = colour_of(refiner)
        dash = "" if refiner == "input" or colour != colour_of("input") else "5 3"
        panel.line(list(zip(hertz, map(float, density_K), strict=True)), colour, 1.8, dash)
        legend.append((one.method.title, colour))
    return panel.svg(legend)


def calibration(met: Sequence[Calibration], unit: str) -> str:
    """Draw observed over expected errors in tenths of the joints, by what is expected."""
    most = max(max(one.expected_B + one.observed_B) for one in met)
    axis = Axis(0, most * 1.05, f"expected error, {unit}")
    panel = Panel(axis, Axis(0, most * 1.05, f"observed, {unit}"), 420, 320)
    panel.line([(0, 0), (most, most)], "var(--faint)", 1, "4 3")
    legend = []
    for one in met:
        colour = "var(--c2)" if one.observed == OBSERVED else "var(--c1)"
        points = list(zip(one.expected_B, one.observed_B, strict=True))
        panel.line(points, colour)
        for point in points:
            panel.dot(point, colour)
        legend.append((f"{one.observed}, off by {one.off:.1f}", colour))
    return panel.svg(legend)
