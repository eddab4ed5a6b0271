"""Published results: as printed, by names that tracks and refiners have."""

import pytest

from poise.catalog import published
from poise.catalog.tracks import Track
from poise_models import catalogue

ROWS = [row for table in published.tables().values() for row in table.rows]


def test_every_table_has_all_its_rows() -> None:
    counts = {name: len(table.rows) for name, table in published.tables().items()}
    paper = {f"table{number}": count for number, count in enumerate((21, 19, 20, 20, 15), 1)}
    paper |= {"table6": 6, "table7": 7, "table8": 4, "table9": 4, "figure1b": 2}
    assert counts == paper | {"windows": 8}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table} {row.track} {row.refiner}")
def test_a_row_is_of_a_track_and_a_refiner_that_there_are(row: published.PublishedRow) -> None:
    assert str(Track.parse(row.track)) == row.track
    assert row.refiner in catalogue.names()
    assert row.metrics
    assert row in published.rows(row.table)
    assert row.variant or row in published.of(row.track, row.refiner, row.label)


@pytest.mark.parametrize(
    ("track", "refiner", "theirs", "percent"),
    [
        ("h36m/hourglass/2D", "smoothnet", "table1", 16.3),
        ("h36m/hourglass/2D", "synsp", "table1", 4.8),
        ("h36m/fcn/3D", "smoothnet", "table1", 4.3),
        ("h36m/fcn/3D", "synsp", "table1", 1.8),
        ("aist/vibe/3D", "smoothnet", "table2", 25.0),
        ("aist/vibe/3D", "synsp", "table2", 5.1),
    ],
)
def test_gains_are_those_that_the_paper_reckons(
    track: str, refiner: str, theirs: str, percent: float
) -> None:
    [before] = [r for r in published.of(track, refiner) if r.table == theirs]
    [after] = [r for r in published.of(track, "synspp") if r.table == theirs]
    gain = 100 * (1 - after.metrics["mpjpe"] / before.metrics["mpjpe"])
    assert gain == pytest.approx(percent, abs=0.06)


@pytest.mark.parametrize(
    ("table", "place", "metrics"),
    [
        ("table1", 0, {"mpjpe": 9.42, "pa_mpjpe": 7.64, "accel": 1.54}),
        ("table1", -1, {"mpjpe": 83.11, "pa_mpjpe": 58.5, "accel": 6.04}),
        ("table2", 1, {"mpjpe": 84.3}),
        ("table2", -1, {"mpjpe": 21.43, "accel": 1.07}),
        ("table3", 6, {"mpjpe": 64.6}),
        ("table4", 12, {"mpjpe": 37.7, "accel": 4.2}),
        ("table5", 12, {"mpjpe": 69.2, "accel": 5.4}),
        ("table6", 3, {"mpjpe": 41.8, "pa_mpjpe": 33.3, "accel": 0.98}),
        ("table7", 5, {"mpjpe": 74.04, "accel": 4.32}),
        ("table8", 3, {"mpjpe": 74.01, "accel": 4.45}),
        ("table9", 1, {"model_ms": 1.21, "wait_ms": 2667, "swaa_ms": 802, "total_ms": 3470}),
        ("figure1b", 0, {"pearson": 0.48}),
    ],
)
def test_numbers_are_those_of_the_paper(table: str, place: int, metrics: dict[str, float]) -> None:
    assert published.rows(table)[place].metrics == metrics


def test_what_nobody_published_has_no_row() -> None:
    assert published.of("uiprmd/kinect/3D", "synspp") == ()
    assert published.rows("demo") == ()
