"""Small npz files that ask for much: each is refused, or leaves out one sequence, in seconds."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.bounded import Answer, Bounded
from tests.support.hostile_npz import (
    HONEST,
    array,
    column,
    honest,
    names,
    npy,
    object_array,
    piece,
    write_npz,
)
from tests.support.smoothnet_files import KINECT, objects

from poise.catalog.tracks import Track
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence

#: No file of this module is larger.
MOST_KIB = 600
MOST_SECONDS = 20.0
MOST_MIB = 400.0
TWO = names("S1/walk/r1", "S1/walk/r2")


@pytest.fixture(scope="module")
def bounded() -> Iterator[Bounded]:
    with Bounded() as process:
        yield process


def read(data: Path, track: Track) -> list[str]:
    """Read a split: the name of every sequence, and of each that was left out the reason too."""
    return [
        row.name if isinstance(row, PoseSequence) else f"{row.sequence}: {row.key}: {row.reason}"
        for row in read_split(data, track, "test")
    ]


def answer(bounded: Bounded, path: Path, track: Track = KINECT) -> Answer:
    assert path.stat().st_size < MOST_KIB * 1024
    found = bounded.call(read, path.parents[1], track)
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB
    return found


def file_of(data: Path, track: Track = KINECT) -> Path:
    track_folder = data / str(track.info.folder)
    stem = f"{track.dataset}_{track.estimator}_{track.representation}"
    return track_folder / "detected" / f"{stem}_test.npz"


def shared(depth: int, leaf: bytes, opening: bytes, closing: bytes) -> bytes:
    """A list of two times a list of two times a list: twice as much with every level."""
    made = leaf
    for level in range(depth):
        made = opening + made + b"q" + bytes([level]) + b"h" + bytes([level]) + closing
    return made


def repeated(content: bytes, times: int) -> bytes:
    return b"](" + content + b"q\x01" + b"h\x01" * (times - 1) + b"e"


ZEROS = array((40_000, 51), bytes(40_000 * 51 * 4))

#: What an entry of poses is, and which budget or rule leaves its sequence out.
LEFT_OUT: dict[str, tuple[Callable[[], bytes], str]] = {
    "lists shared 24 deep": (lambda: shared(24, piece(1.5), b"](", b"e"), "budget: objects"),
    "tuples shared 24 deep": (lambda: shared(24, piece(1.5), b"(", b"t"), "budget: objects"),
    "lists 100,000 deep": (lambda: b"](" * 100_000 + b"e" * 100_000, "budget: nesting"),
    "a list that holds itself": (lambda: b"]q\x00h\x00a", "budget: nesting"),
    "an array without values": (lambda: array((10**12, 0), b""), "budget: bytes"),
    "one array 60 times": (lambda: repeated(ZEROS, 60), "budget: bytes"),
    "one string 100,000 times": (lambda: repeated(piece("x" * 10**6), 10**5), "budget: bytes"),
    "zeros of one byte": (
        lambda: array((350_000, 51), bytes(350_000 * 51), b"u1"),
        "budget: bytes",
    ),
    "a set of sets": (lambda: b"\x8f(" + b"\x8f" * 10**6 + b"\x90", "an object of type set"),
    "a dict of dicts": (lambda: b"}(" + b"K\x01}" * 10**5 + b"u", "an object of type dict"),
    "an object of another class": (lambda: b"cos\nsystem\n(S'true'\ntR", "os.system"),
}


@pytest.mark.parametrize("attack", LEFT_OUT)
def test_an_entry_beyond_its_budget_is_left_out_alone(
    bounded: Bounded, tmp_path: Path, attack: str
) -> None:
    make, reason = LEFT_OUT[attack]
    path = write_npz(file_of(tmp_path), joints_3d=column(honest(), make()), imgname=TWO)
    found = answer(bounded, path)
    assert found.refused == ""
    first, second = found.value
    assert first == "S1/walk/r1"
    assert second.startswith("S1/walk/r2: joints_3d: refused ")
    assert reason in second


def test_entries_that_are_one_array_end_where_the_budget_does(
    bounded: Bounded, tmp_path: Path
) -> None:
    poses = np.zeros((40_000, 51), np.float32)
    path = file_of(tmp_path)
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, joints_3d=objects([HONEST] + [poses] * 60 + [HONEST + 1]))
    found = answer(bounded, path)
    assert len(found.value) == 62
    assert found.value[0] == "test-00000"
    assert found.value[-1] == "test-00061"
    assert sum("(budget: bytes)" in row for row in found.value) > 50


def test_entries_beside_those_beyond_a_budget_are_read(bounded: Bounded, tmp_path: Path) -> None:
    attacks = [LEFT_OUT["lists shared 24 deep"][0](), LEFT_OUT["one array 60 times"][0]()]
    pieces = [honest(), attacks[0], b"h\x17", honest(), attacks[1], honest()]
    called = names(*(f"S1/walk/r{place}" for place in range(len(pieces))))
    path = write_npz(file_of(tmp_path), joints_3d=column(*pieces), imgname=called)
    found = answer(bounded, path).value
    assert [row.partition(":")[2] == "" for row in found] == [True, False, False, True, False, True]


def test_an_entry_beyond_its_budget_that_comes_again_and_again(
    bounded: Bounded, tmp_path: Path
) -> None:
    tree = shared(23, piece(1.5), b"](", b"e")
    boxed = object_array(struct.pack("<i", 1), shared(18, piece(1.5), b"](", b"e")) + b"q\x40"
    path = file_of(tmp_path)
    for first, again in ((tree + b"q\x40", b"h\x40"), (boxed, b"h\x40")):
        write_npz(path, joints_3d=column(first, *[again] * 5000))
        found = answer(bounded, path).value
        assert len(found) == 5001
        assert sum("budget: objects" in row for row in found) > 4900


#: The poses of a file, and which budget refuses the file.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a trillion rows without values": (
        lambda: npy((10**12, 0), b"", "<f4"),
        "announces shape (1000000000000, 0) in 128 bytes (budget: bytes)",
    ),
    "a trillion objects": (lambda: npy((10**12,), b"\x80\x02N."), "(budget: bytes)"),
    "four integers of 1 MiB as a shape": (
        lambda: column(
            b"cnumpy\nndarray\n)R(K\x01("
            + (b"\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20) * 4
            + b"tcnumpy\ndtype\n(S'O8'\ntR\x89]tb"
        ),
        "an integer of 1,048,576 bytes (budget: bytes)",
    ),
    "16 Mi empty sets": (lambda: column(b"(" + b"\x8f" * 2**24 + b"t"), "budget: opcodes"),
    "16 Mi empty lists": (lambda: column(b"(" + b"]" * 2**24 + b"t"), "budget: opcodes"),
    "16 Mi marks": (lambda: column(b"(" * 2**24), "budget: opcodes"),
    "4 Mi places in the memo": (
        lambda: column(b"(" + b"N\x94" * 2**22 + b"t"),
        "budget: opcodes",
    ),
    "2 Mi names of nothing": (lambda: column(b"(" + b"cA\nb\n" * 2**21 + b"t"), "budget: opcodes"),
    "a promise of 2^62 bytes": (
        lambda: column(b"\x8e" + struct.pack("<Q", 2**62)),
        "announces 4,611,686,018,427,387,904 bytes",
    ),
    "an integer of 4,000 digits": (lambda: column(b"I" + b"9" * 4000 + b"\n"), "budget: bytes"),
    "a million entries of nothing": (
        lambda: column(*[b"N"] * 10**6),
        "(budget: entries)",
    ),
    "a million rows of nothing": (
        lambda: npy((10**6, 1), bytes(10**6), "|u1"),
        "(budget: entries)",
    ),
    "zeros, packed": (lambda: npy((1, 350_000, 51), bytes(350_000 * 204), "<f4"), "budget: bytes"),
    "zeros of one byte, packed": (
        lambda: npy((1, 350_000, 51), bytes(350_000 * 51), "|u1"),
        "budget: bytes",
    ),
    "arrays of one text, 600 times": (
        lambda: column(
            b"(B"
            + struct.pack("<I", 2**23)
            + bytes(2**23)
            + b"q\x02"
            + b"0cnumpy\ndtype\n(S'f4'\ntRq\x030"
            + b"cnumpy._core.numeric\n_frombuffer\n(h\x02h\x03J\x00\x00\x20\x00\x85U\x01CtR" * 600
            + b"t"
        ),
        "budget: bytes",
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_a_file_beyond_its_budget_is_refused(bounded: Bounded, tmp_path: Path, attack: str) -> None:
    make, reason = REFUSED[attack]
    found = answer(bounded, write_npz(file_of(tmp_path), joints_3d=make()))
    assert reason in found.refused, found
    assert "_test.npz, key joints_3d: refused: " in found.refused
    assert "\n" not in found.refused


def patched(path: Path, field: int, value: int) -> Path:
    """Change a field of the first entry of a zip's directory, and of the member's own head."""
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", field), (b"PK\x03\x04", field - 2)):
        start = content.index(mark) + place
        content[start : start + 4] = struct.pack("<I", value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (24, 2**31, "unpacks to 2,147,483,648"),  # the size, unpacked
        (24, 100, "damaged"),
        (20, 2**31, "(budget: bytes)"),  # packed: 2 GB would make any ratio a small one
        (20, 10, "damaged"),
    ],
)
def test_a_directory_that_lies_about_sizes(
    bounded: Bounded, tmp_path: Path, field: int, value: int, reason: str
) -> None:
    poses = npy((1, 350_000, 51), bytes(350_000 * 204), "<f4")
    path = patched(write_npz(file_of(tmp_path), joints_3d=poses), field, value)
    assert reason in answer(bounded, path).refused


NAMES = {
    "44,000 characters": ("aist", "g" + "_s" * 22_000, "is of 44,"),
    "1,000 characters against a pattern": ("aist", "g" + "_sx_c01_d01_mx" * 70 + "!", "matches no"),
    "a thousand folders": ("uiprmd", "\n/" * 500 + "S1", "matches no"),
    "half of a surrogate pair": ("uiprmd", "S\ud800/walk", "surrogate"),
    "a subject of 257 bytes": ("uiprmd", "S" * 257 + "/walk", "257 bytes; at most 256"),
}


@pytest.mark.parametrize("attack", NAMES)
def test_a_name_that_nothing_can_hold_leaves_its_sequence_out(
    bounded: Bounded, tmp_path: Path, attack: str
) -> None:
    dataset, name, reason = NAMES[attack]
    known = {"aist": "gWA_sFM_c01_d27_mWA2_ch21", "uiprmd": "S1/walk"}[dataset]
    track = Track.parse({"aist": "aist/spin/3D", "uiprmd": "uiprmd/kinect/3D"}[dataset])
    poses = np.zeros((3, track.info.stored_joints * 3), np.float32) + DRAWN[: 3 * 1].reshape(3, 1)
    path = file_of(tmp_path, track)
    path.parent.mkdir(parents=True)
    np.savez_compressed(
        path,
        joints_3d=objects([poses] * 300),
        imgname=objects([f"{known}/1.jpg"] + [f"{name}/1.jpg"] * 299),
    )
    found = answer(bounded, path, track)
    assert found.refused == ""
    assert len(found.value) == 300
    assert all(": imgname: " in row and reason in row for row in found.value[1:]), found.value[:3]


DRAWN = np.random.default_rng(0).random(51)
