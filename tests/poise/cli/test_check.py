"""``poise check``: what it prints, and how it exits."""

import json
from pathlib import Path

import pytest
from tests.support.lake_damage import DAMAGES
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.cli.main import main


def test_it_reports_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = tmp_path / "lake"
    write_tiny_lake(lake)
    assert main(["check", str(lake), str(TRACK)]) == 0
    assert "1 track: sound" in capsys.readouterr().out
    assert main(["check", "--lake", str(lake), str(TRACK)]) == 0
    assert "1 track: sound" in capsys.readouterr().out
    DAMAGES["frozen"][2](lake)
    assert main(["check", str(lake)]) == 0
    assert "! warning" in capsys.readouterr().out
    DAMAGES["own-subject"][2](lake)
    assert main(["check", str(lake)]) == 1
    assert "1 error, 1 warning" in capsys.readouterr().out
    assert main(["check", str(lake), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["track"] == str(TRACK)
    assert {f["check"] for f in found["findings"]} == {"frozen", "subject-rule"}


def test_what_is_not_there_is_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert f"{tmp_path}/home/lake is no lake" in capsys.readouterr().err
