"""A track's table: the figures, what is published beside them, and what can be told apart."""

from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, fail, finish, finish_all, specs_of

from poise.report.breakdown import MOST_METHODS, telling
from poise.report.overview import overview
from poise.report.pages.document import Cell, Items, Table
from poise.report.paper import published
from poise.report.results import Row, losers, main_table, result_blocks, rows_of, signed, spread
from poise.report.sweeps.trials import Sweep

#: Six people; the linear map is better than the input for each, by about 10.
INPUT = [60.0, 62.0, 58.0, 61.0, 59.0, 60.0]
LINEAR = [50.0, 51.0, 49.0, 50.0, 50.0, 50.0]
#: Worse than the linear map for each; and for some only.
WORSE = [55.0, 56.0, 54.0, 55.0, 55.0, 55.0]
MIXED = [40.0, 62.0, 44.0, 60.0, 42.0, 58.0]
PAPER = published(TRACK, "table1")


def rows(home: Path, network: list[float] = WORSE) -> list[Row]:
    folder = begun(home, ["input", "linear", "smoothnet"])
    finish_all(folder, {"input": (INPUT, 19.0), "linear": (LINEAR, 3.0), "smoothnet": (network, 1)})
    sweep = Sweep.read(folder)
    return rows_of(TRACK, sweep.methods(TRACK), PAPER)[TRACK]


def cell(found: list[Row], title: str, column: int) -> Cell:
    table = main_table(TRACK, found, PAPER)
    return next(row[column] for row in table.rows if row[0].text.split(" †")[0] == title)


def test_below_each_figure_stands_the_published_one_and_the_difference(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert cell(found, "Input", 1) == Cell("60.00", "paper 54.55, +5.45")
    # Seeds 0 and 1: 55 and 56, a standard deviation of 1/sqrt(2).
    assert cell(found, "SmoothNet", 1) == Cell("55.50 ± 0.71", "paper 52.72, +2.78")
    assert cell(found, "Input", 3) == Cell("19.00", "paper 19.17, −0.17")
    assert cell(found, "Linear", 1).small == ""


def test_a_row_of_the_paper_that_nobody_ran_says_so(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert cell(found, "SynSP++", 0) == Cell("SynSP++", "not run")
    assert cell(found, "SynSP++", 1) == Cell("–", "paper 50.44")
    assert cell(found, "SynSP++", 2) == Cell("–", "paper 39.96")


@pytest.mark.parametrize(("network", "sure"), [(WORSE, True), (MIXED, False)])
def test_bold_is_only_what_chance_does_not_explain(
    tmp_path: Path, network: list[float], sure: bool
) -> None:
    assert cell(rows(tmp_path, network), "Linear", 1).bold is sure


def test_networks_that_lose_to_the_linear_map_are_named(tmp_path: Path) -> None:
    found = rows(tmp_path)
    (said,) = losers(found)
    assert said.startswith("† SmoothNet loses to Linear by 5.50 in MPJPE mm (+")
    assert said.endswith("it is not trained enough.")
    assert cell(found, "SmoothNet", 0).text == "SmoothNet †"
    (said,) = losers(rows(tmp_path / "mixed", MIXED))
    assert said.endswith("may be chance).")


def test_networks_that_lose_to_a_tuned_filter_are_named(tmp_path: Path) -> None:
    folder = begun(tmp_path, [{"name": "savgol", "tuned": True}, "smoothnet"])
    finish_all(folder, {"savgol": (LINEAR, 3.0), "smoothnet": (WORSE, 1.0)})
    methods = Sweep.read(folder).methods(TRACK)
    (said,) = losers(rows_of(TRACK, methods, PAPER)[TRACK])
    assert "SmoothNet loses to Savitzky-Golay (tuned: window 5) by 5.50" in said


def test_spread_tells_seeds_from_folds(tmp_path: Path) -> None:
    folder = begun(tmp_path, ["smoothnet"], validation={"folds": 2})
    finish_all(folder, {"smoothnet": (WORSE, 1.0)})
    (method,) = Sweep.read(folder).methods(TRACK)
    assert len(method.trials) == 4
    # Seeds differ by 1 in each fold, folds not at all.
    of_seeds, of_folds = spread(method, "mpjpe")
    assert of_seeds == pytest.approx(0.5**0.5)
    assert of_folds == 0


def test_what_failed_or_is_to_come_is_said(tmp_path: Path) -> None:
    folder = begun(tmp_path, ["input", "smoothnet", "deciwatch"])
    finish_all(folder, {"input": (INPUT, 19.0)})
    one, other = [spec for spec in specs_of(folder) if spec.refiner == "smoothnet"]
    fail(folder, one, "loss is not finite")
    methods = Sweep.read(folder).methods(TRACK)
    found = rows_of(TRACK, methods, PAPER)[TRACK]
    assert cell(found, "SmoothNet", 0).small == "0 of 2 trials, 1 failed, 1 to come"
    assert cell(found, "DeciWatch", 0).small == "0 of 2 trials, 2 to come"
    blocks = list(result_blocks(TRACK, found, PAPER))
    assert isinstance(blocks[-1], Items)
    assert blocks[-1].items == [
        "SmoothNet on h36m/fcn/3D, seed 0 failed: loss is not finite",
    ]
    assert other.seed == 1


def test_nothing_finished_is_a_table_of_what_is_to_come(tmp_path: Path) -> None:
    methods = Sweep.read(begun(tmp_path, ["input"])).methods(TRACK)
    (table,) = result_blocks(TRACK, rows_of(TRACK, methods, PAPER)[TRACK], PAPER)
    assert isinstance(table, Table)
    assert [cell.text for cell in table.rows[0]] == ["Input", "–", "–", "–", ""]
    assert table.rows[0][0].small == "0 of 1 trials, 1 to come"


@pytest.mark.parametrize(
    ("value", "text"), [(1.234, "+1.23"), (-0.5, "−0.50"), (0.004, "±0.00"), (-0.001, "±0.00")]
)
def test_signs(value: float, text: str) -> None:
    assert signed(value) == text


def test_trials_of_the_plan_that_nobody_asked_for_are_to_come(tmp_path: Path) -> None:
    folder = begun(tmp_path, ["input", "smoothnet"])
    finish_all(folder, {"input": (INPUT, 19.0)})
    for spec in specs_of(folder)[1:]:
        (Path(folder.trial(spec.key).uri) / "spec.json").unlink()
    _, network = Sweep.read(folder).methods(TRACK)
    assert (network.refiner, network.progress) == ("smoothnet", "0 of 2 trials, 2 to come")


def test_several_tracks_stand_in_one_table_by_mean_rank(tmp_path: Path) -> None:
    tracks = [TRACK, "h36m/hourglass/2D"]
    folder = begun(tmp_path, ["input", "linear", "smoothnet"], tracks=tracks)
    figures: dict[str, tuple[list[float], float]] = {
        "input": (INPUT, 19.0), "linear": (LINEAR, 3.0), "smoothnet": (WORSE, 1.0)
    }  # fmt: skip
    for spec in specs_of(folder):
        if spec.refiner != "smoothnet" or spec.track == TRACK:
            finish(folder, spec, *figures[spec.refiner])
    sweep = Sweep.read(folder)
    tables = {track: rows_of(track, sweep.methods(track), PAPER)[track] for track in sweep.tracks}
    assert overview({TRACK: tables[TRACK]}) is None
    section = overview(tables)
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert list(table.header[1:4]) == ["rank MPJPE", "rank Accel", TRACK]
    assert table.caption == "MPJPE mm"
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["Linear", "1.0", "1.0", "50.00", "50.00"],
        ["Input", "2.0", "2.0", "60.00", "60.00"],
        ["SmoothNet", "–", "–", "55.00", "–"],  # not on all, so without a rank
    ]
    assert [table.rows[0][3].bold, table.rows[1][3].bold] == [True, False]
    assert table.rows[1][3].small == "19.00"


def test_a_closer_look_is_at_the_best_of_many(tmp_path: Path) -> None:
    names = [f"smoothnet {number}" for number in range(12)]
    labels = [
        {"label": name, "settings": {"hidden": 8 + at}, "refiners": ["smoothnet"]}
        for at, name in enumerate(names)
    ]
    folder = begun(tmp_path, ["input", "smoothnet"], overrides=labels)
    for spec in specs_of(folder):
        worse = 12 - names.index(spec.label) if spec.label else 0
        finish(folder, spec, [one + worse for one in LINEAR], 1.0)
    sweep = Sweep.read(folder)
    found = telling(rows_of(TRACK, sweep.methods(TRACK), PAPER)[TRACK])
    assert [row.title for row in found if row.refiner == "smoothnet"] == [
        f"SmoothNet ({name})" for name in names[-(MOST_METHODS - 1) :]
    ]
