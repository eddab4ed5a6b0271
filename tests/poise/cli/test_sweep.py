"""``poise sweep``: what it refuses before it starts anything."""

from pathlib import Path

import pytest
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
