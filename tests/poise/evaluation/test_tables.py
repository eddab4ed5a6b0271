import csv
import io
import math
import struct

import pytest

from poise.evaluation.evaluate import Row
from poise.evaluation.plots import precision_plot
from poise.evaluation.tables import Entry, csv_text, lines, markdown, result_tables

UIPRMD, FLAT = "uiprmd/kinect/3D", "jhmdb/simplepose/2D"


def entry(
    refiner: str, mpjpe: float, accel: float, pa: float = 40.0, seed: int = 0, track: str = UIPRMD
) -> Entry:
    params = 1_234_000 if refiner == "synspp" else 0
    return Entry(Row(track, refiner, seed, mpjpe, pa, accel, accel, 12_345, params, 1.5), "", 8)


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


def test_the_best_of_each_column_is_marked_and_what_prints_alike_ties() -> None:
    table = {line.refiner: line for line in lines(ENTRIES)[UIPRMD]}
    best = {(name, m) for name, line in table.items() for m, c in line.cells.items() if c.best}
    assert ("synspp", "mpjpe") in best
    assert ("gaussian1d", "accel") in best
    assert ("synspp", "accel") not in best
    assert {name for name, metric in best if metric == "pa_mpjpe"} == set(table)


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
    (table,) = result_tables(ENTRIES)
    assert table.caption == "uiprmd/kinect/3D, 12,345 frames"
    assert table.header[3:] == ["Accel mm/frame²", "Size"]
    best = {(table.rows[row][0], table.rows[row][column]) for row, column in table.best}
    assert ("SynSP++", "50.00 ± 1.41") in best
    assert len({len(row) for row in [table.header, *table.rows]}) == 1


def test_markdown_has_one_table_a_track_in_its_own_unit() -> None:
    text = markdown([*ENTRIES, entry("input", 4.0, 2.0, track=FLAT)])
    assert text.count("| Refiner |") == 2
    assert "| MPJPE image sizes |" in text
    assert "**50.00 ± 1.41**" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {6}


def test_csv_holds_every_trial_exactly() -> None:
    read = list(csv.DictReader(io.StringIO(csv_text(ENTRIES))))
    assert [float(row["accel"]) for row in read] == [e.row.accel for e in ENTRIES]
    assert list(read[0])[:6] == ["track", "refiner", "seed", "mpjpe", "pa_mpjpe", "accel"]
    assert csv_text([]) == ""


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
