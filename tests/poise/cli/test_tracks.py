"""``poise tracks``: the table, and how the command line behaves."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.catalog.tracks import catalogue
from poise.cli.main import main


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.split() for line in lines if line.count("/") >= 2}


def test_the_whole_catalogue_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tracks"]) == 0
    rows = shown(capsys)
    assert {str(track) for track in catalogue()} <= set(rows)
    expected = {
        "h36m/fcn/3D": "17 pelvis m 50 train, test yes 54.55 42.20 19.17",
        "pw3d/spin/3D": "17>14 right_hip+left_hip m 30 train, test yes 96.85 - 34.55",
        "h36m/hrnet/2D": "16 - (px-500)/500 50 test yes 4.59 - 1.01",
    }
    for track, cells in expected.items():
        assert " ".join(rows[track][1:]) == cells


def test_one_data_set_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tracks", "--dataset", "pw3d", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["track"].split("/")[0] for row in rows} == {"pw3d"}
    spin = next(row for row in rows if row["track"] == "pw3d/spin/3D")
    assert spin["picked"] == [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    assert spin["roots"] == ["right_hip", "left_hip"]
    assert spin["published"]["mpjpe"] == 96.85
    assert spin["found"] is None


def test_what_a_folder_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("h36m_fcn_3D", "coco_hrnet_2D"):
        file = tmp_path / "poses" / folder / "detected" / f"{folder}_test.npz"
        file.parent.mkdir(parents=True)
        np.savez(file, joints_3d=np.zeros((1, 4, 51)))
    assert main(["tracks", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "h36m/fcn/3D" in out
    assert "h36m/rle/3D" not in out
    assert "  test " in out
    assert "1 tracks in" in out
    assert "not read: poses/coco_hrnet_2D" in out
    assert main(["tracks", str(tmp_path), "--json"]) == 0
    assert [row["found"] for row in json.loads(capsys.readouterr().out)] == [["test"]]


@pytest.mark.parametrize("unit", ["m", "cm", "mm", "in"])
def test_the_unit_of_the_files_is_shown(
    unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mylab.toml"
    own.write_text(
        'name = "mylab"\n[[tracks]]\nrepresentation = "3D"\nestimators = ["net"]\n'
        f'skeleton = "h36m17"\nroots = ["pelvis"]\nunit = "{unit}"\n'
    )
    monkeypatch.setenv("POISE_DATASETS", str(own))
    assert main(["tracks", "--dataset", "mylab"]) == 0
    assert shown(capsys)["mylab/net/3D"][3] == unit


def test_errors_are_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tracks", "--dataset", "coco"]) == 2
    assert capsys.readouterr().err.startswith("poise: no data set 'coco': known are aist")
    assert main(["tracks", str(tmp_path)]) == 2
    assert "no known track" in capsys.readouterr().err
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    monkeypatch.setenv("POISE_DATASETS", str(broken))
    assert main(["tracks"]) == 2
    assert f"poise: {broken} is not TOML" in capsys.readouterr().err
