"""Bytes through local paths and URIs."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from poise.runtime import storage
from poise.runtime.errors import DataError, LakeError


@pytest.fixture(params=["path", "text", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> storage.Location:
    places: dict[str, storage.Location] = {
        "path": tmp_path,
        "text": str(tmp_path),
        "file": tmp_path.as_uri(),
        "memory": f"memory://{tmp_path.name}",
    }
    return places[request.param]


def test_bytes_come_back(place: storage.Location) -> None:
    file = storage.join(place, "folder", "file.bin")
    assert not storage.exists(file)
    storage.write_bytes(file, b"one")
    storage.write_bytes(file, b"two")
    assert storage.exists(file)
    assert storage.read_bytes(file) == b"two"
    assert storage.list_dir(storage.join(place, "folder")) == ["file.bin"]
    storage.remove(file)
    storage.remove(file)
    assert not storage.exists(file)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(file)


def test_a_folder_that_is_not_there_is_empty(place: storage.Location) -> None:
    assert storage.list_dir(storage.join(place, "nowhere")) == []


def test_relative_paths_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    storage.write_bytes("here.txt", b"1")
    storage.write_bytes("~/there.txt", b"2")
    assert (tmp_path / "here.txt").read_bytes() == b"1"
    assert (tmp_path / "me" / "there.txt").read_bytes() == b"2"


def test_compressed_names_are_plain_bytes(tmp_path: Path) -> None:
    storage.write_bytes(tmp_path / "a.gz", b"not gzip")
    assert (tmp_path / "a.gz").read_bytes() == b"not gzip"
    assert storage.read_bytes(tmp_path / "a.gz") == b"not gzip"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    whole = {bytes([value]) * 1_000_000 for value in (1, 2)}
    storage.write_bytes(file, bytes([1]) * 1_000_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in whole:
                storage.write_bytes(file, content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {storage.read_bytes(file) for _ in range(50)}
    finally:
        stop.set()
        writer.join()
    assert seen <= whole
    assert storage.list_dir(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    storage.write_bytes(file, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write_bytes(file, b"new")
    assert file.read_bytes() == b"old"
    assert storage.list_dir(tmp_path) == ["file"]


def test_an_unknown_scheme_says_so() -> None:
    with pytest.raises(DataError, match="no driver"):
        storage.exists("nonsense://bucket/key")


@pytest.mark.parametrize("ask", [storage.exists, storage.read_bytes])
def test_a_storage_that_does_not_answer_is_one_line(ask: Callable[[str], object]) -> None:
    nobody = "s3://bucket/key?region=here&scheme=http&endpoint_override=127.0.0.1:9"
    with pytest.raises(LakeError, match=r"cannot be reached \([^\n]*$"):
        ask(nobody)


def test_what_is_local(tmp_path: Path) -> None:
    assert storage.is_local(tmp_path)
    assert storage.is_local(tmp_path.as_uri())
    assert not storage.is_local("memory://x")
