"""Splits read and written by many tasks: the bytes are those of one that does it all."""

import hashlib
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.poise.ingest.test_split_writer import FAULTS, TRACK, write
from tests.support.dying import DyingTasks

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest import parts, rounds
from poise.ingest.rounds import write_splits
from poise.ingest.split_writer import SplitResult, write_split
from poise.ingest.tasks import in_tasks
from poise.runtime.errors import DataError

#: What is no array of numbers keeps all sequences of its file in one task.
APART = [kind for kind in FAULTS if kind != "text"]
KINDS = ["good", "one frame", *APART, "good", "good", "shorter than a window"] * 3
SPLITS: list[Split] = ["train", "test"]


def contents(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.parent.name != ".spool"
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be several parts of a few sequences, and no split that is one task's."""
    monkeypatch.setattr(parts, "PART_BYTES", 2 * 4 * 60 * 51)
    monkeypatch.setattr(rounds, "WHOLE_BYTES", 1)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write(folder, KINDS)
    for file in write(folder, ["good"] * 7, "test").values():
        _compress(file)
    return folder


def _compress(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        columns = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, column in columns.items():
            archive.writestr(name, column)


@pytest.fixture
def whole(raw: Path, tmp_path: Path, small: None) -> tuple[list[SplitResult], dict[str, str]]:
    found = [write_split(raw, TRACK, str(tmp_path / "whole"), split) for split in SPLITS]
    return found, contents(tmp_path / "whole")


@pytest.mark.parametrize("shares", [1, 2, 5])
def test_any_number_of_tasks_writes_the_same_bytes(
    cluster: None, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    whole: tuple[list[SplitResult], dict[str, str]], shares: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(rounds, "SHARE_BYTES", 2 * 4 * 12 * 51 * len(KINDS) // shares)
    found = write_splits(raw, TRACK, str(tmp_path / "lake"), SPLITS, lambda _: None)
    assert (found, contents(tmp_path / "lake")) == whole
    assert len(found[0].summary.sequences_parts) > 2
    assert not list((tmp_path / "lake").rglob(".spool"))


def test_tasks_that_die_are_run_again(
    cluster: None, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    whole: tuple[list[SplitResult], dict[str, str]],
) -> None:  # fmt: skip
    monkeypatch.setattr(rounds, "SHARE_BYTES", 20_000)
    tasks = DyingTasks(raw, TRACK, str(tmp_path / "lake"), marks=str(tmp_path))
    found = list(rounds.written(tasks, SPLITS, lambda _: None))
    assert (found, contents(tmp_path / "lake")) == whole
    assert {"read", "write"} <= {path.name for path in tmp_path.iterdir()}


def test_files_of_a_sequence_each_are_read_by_many_tasks(
    told: None, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SHARE_BYTES", 3 * 4 * 60 * 51)
    own = Track.parse("many/net/3D")
    for number in range(7):
        for who in ("net", "gt"):
            file = tmp_path / f"{who}/train/P{number % 2}-{number}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, joints_3d=np.random.default_rng(number).random((60, 51)))
    expected = write_split(tmp_path, own, str(tmp_path / "whole"), "train")
    assert write_splits(tmp_path, own, str(tmp_path / "lake"), ["train"], print) == [expected]
    assert contents(tmp_path / "lake") == contents(tmp_path / "whole")
    assert (expected.summary.subjects, expected.summary.sequences) == (["P0", "P1"], 7)


def test_what_has_to_be_read_in_one_go_is(cluster: None, tmp_path: Path, small: None) -> None:
    write(tmp_path, ["good", "text", "good", "good"])
    expected = write_split(tmp_path, TRACK, str(tmp_path / "whole"), "train")
    [found] = write_splits(tmp_path, TRACK, str(tmp_path / "lake"), ["train"], print)
    assert (found.quarantined, found.summary.read) == (expected.quarantined, 4)


@pytest.mark.parametrize("column", ["detected", "groundtruth"])
def test_a_damaged_file_is_refused_whole(
    cluster: None, tmp_path: Path, small: None, column: str
) -> None:
    file = write(tmp_path, ["good"] * 30)[column]
    content = bytearray(file.read_bytes())
    middle = content.index(b"keypoints_3d.npy") + 40_000
    content[middle : middle + 4] = b"\xff\x00\xff\x00"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"{file.name}.*none of its sequences can be trusted"):
        write_splits(tmp_path, TRACK, str(tmp_path / "lake"), ["train"], print)
    assert contents(tmp_path / "lake") == {}


def _fail_or_last(folder: Path, piece: str) -> None:
    """Fail when another has begun, which goes on until that is known."""
    if piece == "quick":  # rows come one late
        return
    if piece == "lasts":
        (folder / "begun").touch()
    wanted = {"fails": "begun", "lasts": "over-*"}[piece]
    until = time.monotonic() + 30
    while not list(folder.glob(wanted)) and time.monotonic() < until:
        time.sleep(0.01)
    if piece == "fails":
        raise DataError("no good")
    time.sleep(0.3)
    (folder / "done").touch()


def test_what_has_begun_is_over_before_a_fault_is_told(cluster: None, tmp_path: Path) -> None:
    work = partial(_fail_or_last, tmp_path)
    with pytest.raises(DataError, match="no good"):
        list(in_tasks(work, ["fails", "quick", "lasts", "quick", "quick"], "there", str(tmp_path)))
    assert (tmp_path / "done").exists()
