"""``poise ingest``: what it refuses before it starts anything."""

from pathlib import Path

import pytest

from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.lake.manifest import tracks_in
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences


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


def test_a_track_that_cannot_be_taken_leaves_the_others(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["uiprmd/Net/3D", "uiprmd/broken/3D", "uiprmd/net/3D", "uiprmd/net+a/3D"]
    for name in names:
        write_smoothnet(tmp_path, Track.parse(name), "train", list(sequences("train", Size(2, 1))))
    for file in (tmp_path / "poses" / "uiprmd_broken_3D").rglob("*.npz"):
        file.write_bytes(b"no zip")
    given = ["ingest", "--data", str(tmp_path), "--home", str(tmp_path / "home"), "--no-pvd"]
    assert main(given) == 1
    said = capsys.readouterr().out
    assert "uiprmd/broken/3D: left out" in said
    assert "uiprmd/net/3D: left out" in said
    assert "only in case" in said
    assert tracks_in(tmp_path / "home" / "lake") == ["uiprmd/Net/3D", "uiprmd/net+a/3D"]
