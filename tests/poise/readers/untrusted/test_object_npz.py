"""Object-array npz files: what comes back, and that nothing in them runs."""

import io
import pickle
import re
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from poise.readers.untrusted import budget
from poise.readers.untrusted import pickle_stream as picklestream
from poise.readers.untrusted.object_npz import ObjectColumn, npz_keys
from poise.readers.untrusted.safe_pickle import Refused
from poise.runtime.errors import DataError


def whole(path: Path, keys: Iterable[str] | None = None) -> dict[str, list[Any]]:
    return {key: list(ObjectColumn(path, key)) for key in keys or npz_keys(path)}


def object_array(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def write_raw(path: Path, pickled: bytes, count: int = 1, key: str = "joints_3d") -> Path:
    """An npz whose object array is whatever was pickled by hand."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|O", "fortran_order": False, "shape": (count,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{key}.npy", head.getvalue() + pickled)
    return path


class Touch:
    """Pickles as an order to create a file."""

    def __init__(self, marker: Path, call: Callable[..., Any] = open) -> None:
        self.marker, self.call = marker, call

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return self.call, (str(self.marker), "w")


floats = st.sampled_from([np.float32, np.float64])
ragged = st.lists(
    floats.flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=3, min_side=0))
    ),
    min_size=1,
    max_size=5,
)
names = st.lists(st.lists(st.text(max_size=8), max_size=4), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(arrays=ragged, images=names, packed=st.booleans())
def test_what_savez_wrote_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    arrays: list[NDArray[Any]],
    images: list[list[str]],
    packed: bool,
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save = np.savez_compressed if packed else np.savez
    save(path, joints_3d=object_array(arrays), imgname=object_array(images))
    content = whole(path)
    assert content["imgname"] == images
    assert len(content["joints_3d"]) == len(arrays)
    for found, wanted in zip(content["joints_3d"], arrays, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    poses = np.arange(12, dtype=np.float32).reshape(3, 4)
    items = [
        poses,
        np.asfortranarray(poses),
        poses[:, ::2],
        poses.astype(">f8"),
        np.array(["a", "bcd"]),
        [np.str_("image"), np.float32(2.5), ""],
        np.zeros((0, 4)),
        object_array(["x", 1.5]),
    ]
    pickled = pickle.dumps(object_array(items), protocol=protocol)
    found = whole(write_raw(tmp_path / "a.npz", pickled, len(items)))["joints_3d"]
    for one, other in zip(found, items, strict=True):
        np.testing.assert_array_equal(one, other)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
    found[0][0, 0] = 7.0  # results are writable whatever they were read from


def test_names_of_older_numpy(tmp_path: Path) -> None:
    poses = np.arange(6.0).reshape(2, 3)
    pickled = pickle.dumps(object_array([poses]), protocol=2).replace(b"numpy._core", b"numpy.core")
    [found] = whole(write_raw(tmp_path / "a.npz", pickled))["joints_3d"]
    np.testing.assert_array_equal(found, poses)


def test_plain_arrays_are_cut_along_their_first_axis(tmp_path: Path) -> None:
    poses = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.savez(tmp_path / "a.npz", joints_3d=poses, imgname=[["a", "b", "c"], ["d", "e", "f"]])
    content = whole(tmp_path / "a.npz")
    np.testing.assert_array_equal(content["joints_3d"][1], poses[1])
    assert content["imgname"][1].tolist() == ["d", "e", "f"]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("depth", ["top", "element", "nested"])
def test_a_malicious_file_runs_no_code(tmp_path: Path, depth: str, protocol: int) -> None:
    marker = tmp_path / "ran"
    attack = Touch(marker)
    honest = np.zeros((2, 3), np.float32)
    content: Any = {
        "top": attack,
        "element": object_array([honest, attack]),
        "nested": object_array([honest, ["name", [object_array([attack])]]]),
    }[depth]
    pickled = pickle.dumps(content, protocol=protocol)
    path = write_raw(tmp_path / "evil.npz", pickled, count=2)
    if depth == "top":
        with pytest.raises(
            DataError, match=r"evil\.npz, key joints_3d: refused (_?io|__builtin__)"
        ):
            whole(path)
    else:
        first, second = whole(path)["joints_3d"]
        np.testing.assert_array_equal(first, honest)
        assert isinstance(second, Refused)
        assert re.match(r"(_?io|__builtin__)\.open", second.kind)
    assert not marker.exists()
    pickle.loads(pickled)  # noqa: S301 - the attack is real: it works on a plain unpickler
    assert marker.exists()


@pytest.mark.parametrize(
    ("pickled", "refused"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (b"cnumpy\nmemmap\n.", "numpy.memmap"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"\x80\x04\x8c\x0bnumpy.dtype\x8c\x04name\x93.", "numpy.dtype.name"),
        (b"c_codecs\nencode\n(S'x'\nS'utf_7'\ntR.", "the codec 'utf_7'"),
        (b"c_codecs\nencode\n}S'_function'\nK\x01sb.", "a changed function"),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "arrays of type 'V8'"),
        (b"cnumpy\ndtype\n(S'O8'\ntR(K\x03S'|'\nN(S'a'\nt}K\x08K\x08K\x00tb.", "structured type"),
        (b"(S'a'\nK\x01d.", "an object of type dict"),
        (b"Pid\n.", "a persistent id"),
    ],
)
def test_everything_else_is_refused_by_name(tmp_path: Path, pickled: bytes, refused: str) -> None:
    with pytest.raises(DataError, match="refused") as caught:
        whole(write_raw(tmp_path / "a.npz", pickled))
    assert refused in str(caught.value)


def test_raw_bytes_never_become_object_pointers(tmp_path: Path) -> None:
    pickled = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tS'b'\ntR"
        b"(K\x01(K\x01tcnumpy\ndtype\n(S'O8'\ntRI00\nS'AAAAAAAA'\ntb."
    )
    with pytest.raises(DataError, match="type and content do not go together"):
        whole(write_raw(tmp_path / "a.npz", pickled))


def test_shared_lists_count_as_often_as_they_are_referred_to(tmp_path: Path) -> None:
    tree: list[Any] = ["leaf"]
    for _ in range(24):
        tree = [tree, tree]
    pickled = pickle.dumps(object_array([tree, ["leaf"]]))
    first, second = whole(write_raw(tmp_path / "a.npz", pickled, 2))["joints_3d"]
    assert re.fullmatch(r"more than [\d,]+ objects \(budget: objects\)", first.kind)
    assert second == ["leaf"]


def test_a_huge_memo_index_takes_no_memory(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.npz", b"\x80\x02]r\xff\xff\xff\x7f.")
    tracemalloc.start()
    with pytest.raises(DataError, match="not the array its header announces"):
        whole(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


def test_a_bomb_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, joints_3d=np.zeros((1, 2**18)))
    assert len(whole(path)["joints_3d"]) == 1  # small: its ratio does not matter
    monkeypatch.setattr(budget, "FREE_BYTES", 2**20)
    with pytest.raises(
        DataError, match=r"bomb\.npz, key joints_3d: refused: unpacks to 2,097,280 bytes"
    ):
        whole(path)
    monkeypatch.setattr(budget, "MOST_BYTES", 2**20)
    with pytest.raises(DataError, match="unpacks to 2,097,280 bytes, more than 1,048,576 from"):
        whole(path)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_any_changed_byte_of_a_pickle_is_data_or_data_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    items = [np.arange(6, dtype=np.float32).reshape(2, 3), ["a", "b"], np.array(["x", "y"])]
    pickled = bytearray(pickle.dumps(object_array(items), protocol=5))
    pickled[place % len(pickled)] = value
    path = write_raw(tmp_path_factory.mktemp("npz") / "a.npz", bytes(pickled), len(items))
    try:
        found = whole(path)["joints_3d"]
    except DataError:
        return
    assert len(found) == len(items)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_an_entry_that_is_no_data_leaves_the_others_as_they_are(
    tmp_path: Path, protocol: int
) -> None:
    pose = np.arange(6.0).reshape(2, 3)
    odd: list[Any] = [
        {"a": pose},
        {1, 2},
        np.ma.masked_array([["a"]], True),
        pose.astype(complex),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, [("x", float)]),
        Path("a"),
        OrderedDict(a=1),
        1j,
        object(),
        np.complex64(1),
    ]
    items = [pose, *(item for one in odd for item in (one, pose))]
    pickled = pickle.dumps(object_array(items), protocol=protocol)
    found = whole(write_raw(tmp_path / "a.npz", pickled, len(items)))["joints_3d"]
    for kept in found[::2]:
        np.testing.assert_array_equal(kept, pose)
    assert all(isinstance(one, Refused) for one in found[1::2])
    assert found[1].kind == "an object of type dict"
    assert found[5].kind == "masked arrays of other things than numbers"


def test_none_and_tuples_are_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", joints_3d=object_array([None, (1, (2.5, None)), [None]]))
    assert whole(tmp_path / "a.npz")["joints_3d"] == [None, [1, [2.5, None]], [None]]


def test_missing_file_and_key_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        npz_keys(tmp_path / "none.npz")
    np.savez(tmp_path / "a.npz", pose=np.zeros((2, 3)), shape=np.zeros(2))
    assert npz_keys(tmp_path / "a.npz") == ("pose", "shape")
    with pytest.raises(DataError, match="no key joints_3d; the file holds pose, shape"):
        whole(tmp_path / "a.npz", ["joints_3d"])


def streamed(path: Path, digest: Callable[[Any], Any] | None = None) -> list[Any]:
    return list(ObjectColumn(path, "joints_3d", digest))


def test_only_the_entry_at_hand_is_in_memory(tmp_path: Path) -> None:
    base = np.random.default_rng(0).random((60_000, 50), np.float32)
    items = [base[n : n + 50_000] for n in range(40)]  # 10 MB each, 400 MB in all
    np.savez(tmp_path / "a.npz", joints_3d=object_array(items))
    tracemalloc.start()
    total = 0.0
    for entry in ObjectColumn(tmp_path / "a.npz", "joints_3d"):
        total += float(entry[-1, -1])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == pytest.approx(sum(float(item[-1, -1]) for item in items))
    assert peak < 130e6  # three entries, and 64 MB of them in case one is used again


def test_of_names_only_the_digest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picklestream, "_SHARED_STRINGS", 1000)
    items = [[f"{take:03d}/{frame:06d}.jpg" for frame in range(8000)] for take in range(20)]
    np.savez(tmp_path / "a.npz", joints_3d=object_array(items))
    tracemalloc.start()
    found = streamed(tmp_path / "a.npz", lambda names: (names[0], len(names)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(f"{take:03d}/000000.jpg", 8000) for take in range(20)]
    assert peak < 4e6  # all of them would be 11 MB, and their places in the memo as much again


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_entries_share_comes_back(tmp_path: Path, protocol: int) -> None:
    pose, name = np.arange(6.0).reshape(2, 3), "S1/walk/0001.jpg"
    poses = object_array([pose, pose + 1, pose, np.zeros((2, 3)), pose])
    names = object_array([[name, "", name], ["", name], [name] * 3, ["b"], [""]])
    for key, array in (("poses", poses), ("names", names)):
        path = write_raw(tmp_path / f"{key}.npz", pickle.dumps(array, protocol=protocol), 5)
        for one, other in zip(streamed(path), array, strict=True):
            np.testing.assert_array_equal(one, other)


def test_lists_of_names_shared_by_entries_far_apart(tmp_path: Path) -> None:
    videos = [[f"{video}/{frame}" for frame in range(3)] for video in range(40)]
    path = write_raw(tmp_path / "a.npz", pickle.dumps(object_array(videos * 2)), 80)
    assert streamed(path, lambda names: names[0]) == [f"{video}/0" for video in range(40)] * 2


def test_arrays_shared_by_entries_too_far_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picklestream, "_SHARED_BYTES", 1000)
    poses = [np.full((10, 10), float(place)) for place in range(5)]
    path = write_raw(tmp_path / "a.npz", pickle.dumps(object_array([*poses, poses[0]])), 6)
    with pytest.raises(DataError, match=r"refers back to object .* too far back to keep"):
        streamed(path)


def test_objects_of_several_axes_come_row_by_row(tmp_path: Path) -> None:
    names = np.array([[f"{take}/{frame}" for frame in range(3)] for take in range(4)], object)
    np.savez(tmp_path / "c.npz", joints_3d=names)
    np.savez(tmp_path / "f.npz", joints_3d=np.asfortranarray(names))
    for file in ("c.npz", "f.npz"):
        np.testing.assert_array_equal(np.stack(streamed(tmp_path / file)), names)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (b"K\x02Ntb", "an entry that changes after the next has begun"),
        (b"K\x02a", "append"),
    ],
)
def test_a_finished_entry_cannot_be_changed(tmp_path: Path, changed: bytes, reason: str) -> None:
    array = b"cnumpy\nndarray\n)R"
    head = array + b"(K\x01K\x02\x85cnumpy\ndtype\n(S'O8'\ntR\x89]("
    # Two arrays; the second is thrown away again, and what comes then is aimed at the first.
    pickled = b"\x80\x02" + head + array + array + b"0" + b"(" * (changed[-1:] == b"b") + changed
    with pytest.raises(DataError, match=reason):
        streamed(write_raw(tmp_path / "a.npz", pickled + b"etb."))


def test_a_promise_of_many_bytes_takes_no_memory(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.npz", b"\x80\x05\x96" + (2**33).to_bytes(8, "little") + b"ab.")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"announces 8,589,934,592 bytes, where \d+ can follow"):
        streamed(path)
    tracemalloc.stop()
