"""``poise report`` from end to end."""

import json
from pathlib import Path

import pytest
from tests.poise.report.test_page import loaded
from tests.support.reported_sweep import begun, fail, finish_all, specs_of

from poise.cli.main import main

SIX = [60.0, 62.0, 58.0, 61.0, 59.0, 60.0]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = begun(tmp_path, ["input", "linear", "smoothnet", "synspp"], "made")
    finish_all(folder, {"input": (SIX, 19.0), "linear": ([x - 9 for x in SIX], 3.0)})
    fail(folder, specs_of(folder)[2], "loss is not finite; lower learning_rate")
    return tmp_path


def test_a_sweep_that_is_not_done_has_a_report(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "out"
    assert main(["report", "made", "--home", str(home), "-o", str(out)]) == 0
    assert f"wrote {out}/report.html" in capsys.readouterr().out
    text = (out / "report.md").read_text()
    assert "| Linear | **51.00** |" in text
    assert "| Input | 60.00 (paper 54.55, +5.45) |" in text
    assert "| SmoothNet (0 of 2 trials, 1 failed, 1 to come) | – (paper 52.72) |" in text
    assert "SmoothNet on h36m/fcn/3D, seed 0 failed: loss is not finite; lower" in text
    assert "No links to MLflow: no tracking store at" in text
    # Nothing of it is in the lake, and no weights were kept.
    assert "Linear: " in text.split("### Not refined again")[1]
    page = (out / "report.html").read_text()
    assert loaded(page) == []
    assert len(page) < 3_000_000


def test_a_track_without_data_says_so_and_has_the_printed_rows(tmp_path: Path) -> None:
    folder = begun(tmp_path, ["input"], "table1")
    header = json.loads(Path(folder.uri, "sweep.json").read_text())
    header["plan"]["tracks"].append("aist/spin/smpl")
    header["absent"] = {"aist/spin/smpl": "no data in /data"}
    Path(folder.uri, "sweep.json").write_text(json.dumps(header))
    assert main(["report", "table1", "--records-only", "--home", str(tmp_path)]) == 0
    text = (tmp_path / "reports" / "table1" / "report.md").read_text()
    missing = text.split("## aist/spin/smpl")[1]
    assert "Not run: no data in /data." in missing
    assert "| SynSP++ (not run) | – (paper 83.11) |" in missing


def test_by_default_reports_are_in_the_home_and_a_folder_is_as_good_as_a_name(home: Path) -> None:
    sweep = str(home / "sweeps" / "made")
    assert main(["report", sweep, "--records-only", "--home", str(home)]) == 0
    assert (home / "reports" / "made" / "report.html").is_file()


def test_two_sweeps_are_compared(home: Path) -> None:
    finish_all(begun(home, ["input", "linear"], "other"), {"linear": (SIX, 3.0)})
    assert main(["report", "made", "other", "--home", str(home)]) == 0
    text = (home / "reports" / "made-to-other" / "report.md").read_text()
    assert "| Linear | **+9.00**" in text
    assert "Only in made: Input." in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "no sweep 'nothing' in {home}/sweeps, which has made; a folder or URI works"),
        (["some/where"], "some/where: no sweep.json there; name a sweep's folder, such as {home}"),
        (["a", "b", "c"], "name one sweep, or two to compare"),
        (["mlflow:nothing"], "MLflow has no experiment 'nothing'; it has "),
        (["broken"], "{home}/sweeps/broken: records that this version cannot read"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    home: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if words == ["broken"]:
        (home / "sweeps" / "broken").mkdir()
        (home / "sweeps" / "broken" / "sweep.json").write_text('{"trials": 3}')
    assert main(["report", *words, "--home", str(home)]) == 2
    said = capsys.readouterr().err
    assert message.format(home=home) in said
    assert len(said.splitlines()) == 1
