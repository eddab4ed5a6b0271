"""Charts: where things are drawn, and what stands beside them."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, finish_all

from poise.report.charts.learning import learning_curves
from poise.report.charts.panel import Axis, Panel
from poise.report.charts.plane import plane
from poise.report.paper import published
from poise.report.results import rows_of
from poise.report.sweeps.trials import Sweep

SIX = [60.0, 62.0, 58.0, 61.0, 59.0, 60.0]


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Axis(47.2, 80.9), ["50", "60", "70", "80"]),
        (Axis(0.8, 4.2, whole=True), ["1", "2", "3", "4"]),
        (Axis(0.5, 20, log=True), ["0.5", "1", "2", "5", "10", "20"]),
        (Axis(0.01, 5000, log=True), ["0.01", "0.1", "1", "10", "100", "1000"]),
        (Axis(0, 2, names=("1 : 0", "10", "1")), ["1 : 0", "10", "1"]),
    ],
)
def test_ticks_are_round(axis: Axis, ticks: list[str]) -> None:
    assert [text for _, text in axis.ticks()] == ticks


def test_the_origin_is_lower_left() -> None:
    panel = Panel(Axis(0, 1), Axis(1, 100, log=True))
    low, middle, high = (panel.at(point) for point in ((0, 1), (0.5, 10), (1, 100)))
    assert low[0] < high[0]
    assert low[1] > high[1]
    assert middle == pytest.approx([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2])


def test_the_plane_names_every_refiner_and_shows_the_published_beside_it(tmp_path: Path) -> None:
    folder = begun(tmp_path, ["input", "savgol", "smoothnet"])
    finish_all(folder, dict.fromkeys(("input", "savgol", "smoothnet"), (SIX, 2.0)))
    paper = published(TRACK, "table1")
    rows = rows_of(TRACK, Sweep.read(folder).methods(TRACK), paper)[TRACK]
    drawn = ElementTree.fromstring(plane(rows))  # noqa: S314  (made here)
    words = [one.text for one in drawn.iter("text")]
    assert {"Input", "Savitzky-Golay", "SmoothNet"} <= set(words)
    titles = [one.text for one in drawn.iter("title")]
    assert "SmoothNet, published" in titles
    assert "Input: 60.00, 2.00" in titles


def test_a_learning_curve_has_a_line_a_trial_and_a_dot_where_weights_were_kept(
    tmp_path: Path,
) -> None:
    folder = begun(tmp_path, ["linear", "smoothnet"])
    finish_all(folder, {"linear": (SIX, 2.0), "smoothnet": (SIX, 2.0)})
    (picture,) = learning_curves(Sweep.read(folder).methods(TRACK))
    drawn = ElementTree.fromstring(picture.svg)  # noqa: S314  (made here)
    assert picture.caption == "SmoothNet"
    assert len(list(drawn.iter("polyline"))) == len(list(drawn.iter("circle"))) == 2
