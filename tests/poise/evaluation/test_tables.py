import csv
import io
import math
import struct
from dataclasses import replace

import pytest

from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import PoseErrors
from poise.evaluation.plots import precision_plot
from poise.evaluation.scored import Scored
from poise.evaluation.tables import Entry, csv_text, lines, markdown, people_csv, result_tables

UIPRMD, FLAT = "uiprmd/kinect/3D", "jhmdb/simplepose/2D"


def entry(
    refiner: str,
    mpjpe: float,
    accel: float,
    pa: float = 40.0,
    seed: int = 0,
    track: str = UIPRMD,
    fold: int | None = None,
) -> Entry:
    """A row of two sequences with the same errors each."""
    params = 1_234_000 if refiner == "synspp" else 0
    row = Row(track, refiner, seed, mpjpe, pa, accel, accel, 12_345, params, 1.5)
    errors = PoseErrors(mpjpe, pa, accel, accel, 50)
    sequences = [Scored(f"{fold} {name}", f"S{fold or 2}", errors) for name in "ab"]
    return Entry(row, "", 8, fold, sequences)


ENTRIES = [
    entry("synspp", 49.0, 0.80),
    entry("synspp", 51.0, 0.90, seed=1),
    entry("input", 126.3, 9.1),
    entry("gaussian1d", 125.9, 0.801),
]


def test_rows_stand_in_catalogue_order_with_the_mean_over_seeds() -> None:
    table = lines(ENTRIES)[UIPRMD]
    assert [line.refiner for line in table] == ["input", "gaussian1d", "synspp"]
    cell = table[2].cells["mpjpe"]
    assert cell.mean == 50.0
    assert cell.spread == pytest.approx(math.sqrt(2))
    assert str(cell) == "50.00 ± 1.41"
    assert table[2].size == "1.23 M weights, 8 epochs, 2 seeds"
    assert table[0].size == ""


def best_of(entries: list[Entry]) -> set[tuple[str, str]]:
    table = lines(entries)[UIPRMD]
    return {(one.refiner, m) for one in table for m, cell in one.cells.items() if cell.best}


def test_the_best_of_a_column_is_marked_where_chance_does_not_explain_it() -> None:
    # In PA-MPJPE all are alike; in Accel, one seed of the network is better than the filter.
    assert best_of(ENTRIES) == {("synspp", "mpjpe")}
    better = [*ENTRIES, entry("savgol", 125.0, 0.79)]
    assert best_of(better) == {("synspp", "mpjpe"), ("savgol", "accel")}
    assert not best_of([replace(one, sequences=()) for one in better])
    assert not best_of(ENTRIES[2:3])


def test_differences_from_the_smallest_stand_below_with_their_intervals() -> None:
    _, table = result_tables(ENTRIES)
    assert table.header == ["Refiner", "MPJPE mm", "PA-MPJPE mm", "Accel mm/frame²"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["SynSP++"] == ["smallest", "smallest", "+0.05 [-0.00, +0.10]"]
    assert rows["Input"][0] == "+76.30 [+75.30, +77.30]"
    assert "the sequences of one person and their seeds" in table.notes[0]


def test_folds_are_one_row_and_each_person_has_errors_of_its_own() -> None:
    folds = [entry("input", 10.0 * n, 9.1, fold=n) for n in (1, 2, 3)]
    folds += [
        entry("synspp", 5.0 * n, 0.8, seed=seed, fold=n) for seed in (0, 1) for n in (1, 2, 3)
    ]
    table, differences = result_tables(folds)
    assert table.caption == "uiprmd/kinect/3D, 3 folds of its people, 37,035 frames"
    assert [row[1] for row in table.rows] == ["20.00 ± 10.00", "10.00 ± 4.47"]
    assert table.rows[1][-1] == "1.23 M weights, 8 epochs, 3 folds, 2 seeds"
    assert differences.rows[0][1] == "+10.00 [+10.00, +10.00]"
    # A mean of fewer people is not compared with one of all, but on those that both have it is.
    table, differences = result_tables([*folds, entry("savgol", 2.0, 0.1, fold=1)])
    assert [row[1] for row in table.rows] == ["20.00 ± 10.00", "2.00", "10.00 ± 4.47"]
    assert (1, 1) not in table.best
    assert differences.rows[1][1] == "-3.00 [-3.00, -3.00]"
    assert folds[4].to_json()["people"]["S2"]["mpjpe"] == 10.0
    people = list(csv.DictReader(io.StringIO(people_csv(folds))))
    assert len(people) == 9
    assert [people[4][name] for name in ("refiner", "fold", "subject", "mpjpe", "frames")] == [
        "synspp",
        "2",
        "S2",
        "10.0",
        "100",
    ]


def test_a_metric_that_does_not_exist_is_a_dash_and_never_best() -> None:
    one = [entry("input", 3.0, 1.0, pa=math.nan), entry("oneeuro", 2.0, 0.5, pa=math.nan)]
    cells = [line.cells["pa_mpjpe"] for line in lines(one)[UIPRMD]]
    assert [str(cell) for cell in cells] == ["-", "-"]
    assert not any(cell.best for cell in cells)


def test_networks_that_lose_to_the_closed_form_are_named() -> None:
    filters = [entry("input", 126.0, 9.0), entry("gaussian1d", 125.0, 1.0)]
    networks = [entry("synspp", 49.0, 0.8), entry("synspp", 54.0, 0.9, seed=1)]
    networks.append(entry("smoothnet", 60.0, 1.0))
    assert result_tables([*filters, *networks])[0].notes == []
    assert result_tables([*filters, entry("linear", 61.0, 0.1), *networks])[0].notes == []
    with_linear = [*filters, entry("linear", 52.0, 2.0), *networks]
    (note,) = result_tables(with_linear)[0].notes
    assert note == (
        "Note: SmoothNet loses to Linear (60.00 against 52.00 in MPJPE mm): "
        "it is not trained enough."
    )
    assert note in markdown(with_linear)


def test_labels_make_rows_of_their_own() -> None:
    row = ENTRIES[0].row
    table = lines([Entry(row, "base"), Entry(row, "poses")])[UIPRMD]
    assert [line.title for line in table] == ["SynSP++ (base)", "SynSP++ (poses)"]


def test_a_table_of_texts_says_which_are_best() -> None:
    table, _ = result_tables(ENTRIES)
    assert table.caption == "uiprmd/kinect/3D, 12,345 frames"
    assert table.header[3:] == ["Accel mm/frame²", "Size"]
    best = {(table.rows[row][0], table.rows[row][column]) for row, column in table.best}
    assert ("SynSP++", "50.00 ± 1.41") in best
    assert len({len(row) for row in [table.header, *table.rows]}) == 1


def test_markdown_has_one_table_a_track_in_its_own_unit() -> None:
    text = markdown([*ENTRIES, entry("input", 4.0, 2.0, track=FLAT)])
    assert text.count("| Refiner |") == 3
    assert "| MPJPE image sizes |" in text
    assert "**50.00 ± 1.41**" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {5, 6}


def test_csv_holds_every_trial_exactly() -> None:
    read = list(csv.DictReader(io.StringIO(csv_text(ENTRIES))))
    assert [float(row["accel"]) for row in read] == [e.row.accel for e in ENTRIES]
    assert list(read[0])[:6] == ["track", "refiner", "seed", "mpjpe", "pa_mpjpe", "accel"]
    assert csv_text([]) == people_csv([]) == ""


def test_the_plot_is_a_png_that_grows_with_the_tracks() -> None:
    def size(entries: list[Entry]) -> tuple[int, int]:
        data = precision_plot(entries)
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        return width, height

    one = size(ENTRIES)
    two = size([*ENTRIES, entry("input", 4.0, 0.0, track=FLAT)])
    assert two[0] > 1.5 * one[0]
    assert precision_plot(ENTRIES) == precision_plot(ENTRIES)
