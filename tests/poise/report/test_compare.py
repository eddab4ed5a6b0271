"""What changed between two sweeps, by hand."""

from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, finish_all

from poise.report.compare import comparison
from poise.report.pages.document import Cell, Document, Items, Table, Text
from poise.report.sweeps.trials import Sweep

SIX = [60.0, 62.0, 58.0, 61.0, 59.0, 60.0]
NETWORK = {"name": "smoothnet", "settings": {"window": 8}}


def compared(home: Path, after: list[float], accel: float = 2.0) -> Document:
    one = begun(home, ["input", "savgol", NETWORK], "before")
    finish_all(one, {"input": (SIX, 19.0), "savgol": (SIX, 3.0), "smoothnet": (SIX, 2.0)})
    wider = {"name": "smoothnet", "settings": {"window": 32}}
    other = begun(home, ["input", "linear", wider], "after", seeds=[0])
    finish_all(other, {"input": (SIX, 19.0), "linear": (SIX, 3.0), "smoothnet": (after, accel)})
    return comparison(Sweep.read(one), Sweep.read(other), "poise report before after")


def row(document: Document, title: str) -> list[Cell]:
    table = document.sections[0].blocks[0]
    assert isinstance(table, Table)
    return next(list(cells) for cells in table.rows if cells[0].text == title)


def test_what_is_the_same_is_said_to_be(tmp_path: Path) -> None:
    document = compared(tmp_path, SIX)
    assert document.title == "before → after"
    assert row(document, "Input")[1:] == [
        Cell("the same", "means 60.00 → 60.00"),
        Cell("the same", "means 30.00 → 30.00"),
        Cell("the same", "means 19.00 → 19.00"),
        Cell("nothing"),
    ]


@pytest.mark.parametrize(("by", "word"), [(-10.0, "better"), (10.0, "worse")])
def test_a_change_of_everybody_is_more_than_chance(tmp_path: Path, by: float, word: str) -> None:
    # The seeds before have 60 and 61 on average, so that 60.5 are changed by 10 less a half.
    found = row(compared(tmp_path, [one + by for one in SIX]), "SmoothNet")
    assert found[1].text == ("−10.50" if by < 0 else "+9.50")
    assert found[1].bold
    assert f", {word}; means 60.50 → {60 + by:.2f}" in found[1].small
    assert found[4] == Cell("window 8 → 32")


def test_a_change_of_some_may_be_chance(tmp_path: Path) -> None:
    mixed = [40.0, 82.0, 48.0, 81.0, 39.0, 73.0]
    found = row(compared(tmp_path, mixed), "SmoothNet")
    assert not found[1].bold
    assert ", may be chance; " in found[1].small


def test_cells_in_one_sweep_only_are_named_and_so_is_the_plan(tmp_path: Path) -> None:
    document = compared(tmp_path, SIX)
    said = [block.text for block in document.sections[0].blocks if isinstance(block, Text)]
    assert said == ["Only in before: Savitzky-Golay.", "Only in after: Linear."]
    (plans,) = [s.blocks[0] for s in document.sections if s.title == "Plans"]
    assert plans == Items(["seeds [0, 1] → [0]"])


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    one = begun(tmp_path, ["input"], "before")
    other = begun(tmp_path, ["input"], "after")
    document = comparison(Sweep.read(one), Sweep.read(other), "")
    assert document.sections[0].title == TRACK
    assert document.sections[0].blocks == [Text("No refiner finished in both.")]
