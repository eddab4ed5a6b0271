"""``poise ingest``: what it refuses before it starts anything."""

from pathlib import Path

import pytest

from poise.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--track", "uiprmd/kinect/3D"], "POISE_DATA"),
        (["--data", "nowhere"], "no known track"),
        (["--data", "nowhere", "--track", "uiprmd/kinect/3D"], "looked for"),
        (["--bulk", "/data"], "the embedded Milvus cannot import"),
        (["--nonsense"], "--nonsense"),
        (["--writers", "0"], "--writers"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: ")
    assert message in said
    assert not list(tmp_path.rglob("*.parquet"))
