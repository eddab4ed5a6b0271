"""A node's cache: made once, kept up to a size, never taken from under a process that opens it."""

from pathlib import Path
from threading import Thread

import pytest

from poise.runtime.errors import LakeError
from poise.runtime.node_cache import NodeCache, reading


@pytest.fixture
def cache(tmp_path: Path) -> NodeCache:
    return NodeCache(tmp_path / "cache", 250)


def put(cache: NodeCache, name: str, made: list[str], size: int = 100) -> bytes:
    def make(folder: Path) -> None:
        made.append(name)
        (folder / "file").write_bytes(name.encode() * size)

    with cache.entry(name, make) as folder:
        return (folder / "file").read_bytes()


def test_an_entry_is_made_once_by_whoever_comes_first(cache: NodeCache) -> None:
    made: list[str] = []
    threads = [Thread(target=put, args=(cache, "a", made)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert put(cache, "a", made) == b"a" * 100
    assert cache.folder.stat().st_mode & 0o077 == 0


def test_what_was_not_used_for_longest_goes(cache: NodeCache) -> None:
    made: list[str] = []
    for name in ("a", "b", "a", "c", "a", "b"):
        put(cache, name, made)
    assert made == ["a", "b", "c", "b"]
    assert put(cache, "d", made, 1000) == b"d" * 1000, (
        "larger than the cache, and used all the same"
    )


def test_what_was_used_since_is_counted(cache: NodeCache) -> None:
    put(cache, "a", [])
    put(cache, "b", [], 50)
    between = (cache.folder / "b").stat().st_mtime
    assert cache.used_bytes(0) == 150
    assert cache.used_bytes(between) == 50
    put(cache, "a", [])
    assert cache.used_bytes(between) == 150


def test_what_is_being_opened_stays(cache: NodeCache) -> None:
    made: list[str] = []
    put(cache, "a", made)
    with cache.entry("a", lambda _: None) as folder:
        put(cache, "b", made, 200)
        assert (folder / "file").exists()
    put(cache, "c", made, 200)
    put(cache, "a", made)
    assert made == ["a", "b", "c", "a"]


def test_what_others_make_or_keep_there_stays(cache: NodeCache) -> None:
    made: list[str] = []
    theirs = cache.folder / "raw" / "poses"
    theirs.mkdir(mode=0o700, parents=True)
    (theirs / "file").write_bytes(bytes(1000))

    def slow(folder: Path) -> None:
        (folder / "file").write_bytes(b"slow" * 25)
        put(cache, "a", made, 200)  # by now the draft is the oldest there is
        put(cache, "b", made, 200)
        assert (folder / "file").exists()

    with cache.entry("slow", slow) as folder:
        assert (folder / "file").read_bytes() == b"slow" * 25
    assert (theirs / "file").exists()


def test_drafts_of_who_was_killed_go(cache: NodeCache) -> None:
    put(cache, "a", [])
    (cache.folder / "a").rename(cache.folder / ".a")
    put(cache, "b", [], 200)
    assert not (cache.folder / ".a").exists()


def test_many_who_make_room_at_once_are_in_nobodys_way(cache: NodeCache) -> None:
    faults: list[Exception] = []

    def some(number: int) -> None:
        try:
            for turn in range(20):
                put(cache, f"{(number + turn) % 7}", [], 60)
        except LakeError as error:
            faults.append(error)

    threads = [Thread(target=some, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_half_an_entry_is_none(cache: NodeCache) -> None:
    def fail(folder: Path) -> None:
        (folder / "file").touch()
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(LakeError, match=r"cannot write to .*POISE_CACHE.*No space left"),
        cache.entry("a", fail),
    ):
        pass
    assert put(cache, "a", []) == b"a" * 100


def test_a_fault_of_its_user_is_none_of_the_cache(cache: NodeCache) -> None:
    with pytest.raises(FileNotFoundError), cache.entry("a", lambda _: None) as folder:
        (folder / "nowhere").read_bytes()
    with (
        pytest.raises(LakeError, match=r"a: cannot be read \(No such file.*remove it"),
        cache.entry("a", lambda _: None) as folder,
        reading(folder),
    ):
        (folder / "nowhere").read_bytes()


def test_the_folder_of_somebody_else_is_refused(
    cache: NodeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.folder.mkdir()
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(LakeError, match=r"another user's.*POISE_CACHE"):
        put(cache, "a", [])
