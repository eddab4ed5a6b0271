"""``poise sweep``: what it refuses before it starts anything."""

from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.support.sweep_job import PLAN

from poise.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--track", "nowhere/x/3D"], "tracks[0]: no data set 'nowhere'"),
        (["--epochs", "0"], "budget.epochs"),
        (["--plan", "dmeo"], "did you mean demo?"),
        (["--publish-only"], "holds nothing to publish"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(PLAN)
    assert main(["sweep", "--plan", str(tmp_path / "tiny.yaml"), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: ")
    assert message in said


def test_a_tracking_server_that_does_not_answer_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(PLAN)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    given = ["--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path / "home")]
    assert main(["sweep", *given, "--data", str(tmp_path)]) == 2  # there is nothing to ingest
    said = capsys.readouterr().out
    assert "$MLFLOW_TRACKING_URI: start it" in said
    assert "The sweep goes on" in said
