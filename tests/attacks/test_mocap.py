"""Small motion capture files and body models that ask for much, and damage in one of a batch."""

import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.bodies import write_amass
from tests.support.bounded import Answer, Bounded
from tests.support.hostile_npz import array, npy
from tests.support.raw_c3d import RawC3d
from tests.support.takes import write_amc, write_asf

from poise.mocap.convert import Capture, read_takes
from poise.mocap.formats.amass import read_amass
from poise.mocap.formats.amc import read_amc
from poise.mocap.formats.asf import read_asf
from poise.mocap.formats.body_model import Body
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.formats.c3d import read_c3d
from poise.runtime.errors import DataError

MOST_BYTES = 17 * 2**20
MOST_SECONDS = 20.0
MOST_MIB = 400.0


@pytest.fixture(scope="module")
def bounded() -> Iterator[Bounded]:
    with Bounded() as process:
        yield process


def read(path: Path) -> None:
    if path.name == "body.pkl":
        Body.load(path)
    elif path.suffix == ".npz":
        read_amass(path)
    elif path.suffix == ".bvh":
        read_bvh(path).positions()
    elif path.suffix == ".amc":
        read_amc(path, read_asf(path.with_suffix(".asf")))
    else:
        {".asf": read_asf, ".c3d": read_c3d}[path.suffix](path)  # type: ignore[operator]


def bounded_answer(bounded: Bounded, path: Path) -> Answer:
    assert path.stat().st_size < MOST_BYTES
    found = bounded.call(read, path)
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB
    return found


def amass(folder: Path, **members: bytes) -> Path:
    without: dict[str, Any] = dict.fromkeys(members)
    path = write_amass(folder / "take_poses.npz", **without)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def body(folder: Path, content: bytes) -> Path:
    path = folder / "body.pkl"
    path.write_bytes(b"\x80\x04" + content + b".")
    return path


def selections(levels: int) -> bytes:
    """A chumpy array that selects from itself by itself, twice with every level."""
    made = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
    made += b"}S'x'\n" + array((2,), np.array([0, 1]).tobytes(), b"i8") + b"sb"
    for level in range(levels):
        here = b"q" + bytes([level]), b"h" + bytes([level])
        made += here[0] + b"0ccopy_reg\n_reconstructor\n(cchumpy.reordering\nSelect\n"
        made += b"c__builtin__\nobject\nNtR}(S'a'\n" + here[1] + b"S'idxs'\n" + here[1]
        made += b"S'preferred_shape'\nK\x02\x85ub"
    return b"}(S'v_template'\n" + made + b"S'shapedirs'\nNS'J_regressor'\nNS'kintree_table'\nNu"


def itself() -> bytes:
    new = b"ccopy_reg\n_reconstructor\n(cchumpy.reordering\nSelect\nc__builtin__\nobject\nNtRq\x01"
    state = b"}(S'a'\nh\x01S'idxs'\nh\x01S'preferred_shape'\nK\x02\x85ub"
    return (
        b"}(S'v_template'\n" + new + state + b"S'shapedirs'\nNS'J_regressor'\nNS'kintree_table'\nNu"
    )


def sparse(rows: int, columns: int) -> bytes:
    arrays = {
        key: array((1,), bytes(8), kind)
        for key, kind in (("data", b"f8"), ("indices", b"i8"), ("indptr", b"i8"))
    }
    state = b"".join(b"S'" + key.encode() + b"'\n" + value for key, value in arrays.items())
    shape = b"S'_shape'\nJ" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
    return (
        b"}(S'v_template'\ncscipy.sparse.csc\ncsc_matrix\n)\x81}(" + state + shape + b"ub"
        b"S'shapedirs'\nNS'J_regressor'\nNS'kintree_table'\nNu"
    )


BVH = "HIERARCHY\nROOT Hips\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{}}}\nMOTION\nFrames: {}\n"
BVH += "Frame Time: {}\n{}\n"


def bvh(
    folder: Path, tree: str = "", frames: int = 1, time: str = "0.01", values: str = "0"
) -> Path:
    path = folder / "take.bvh"
    path.write_text(BVH.format(tree, frames, time, values))
    return path


def bones(count: int, name: str = "bone{}") -> str:
    named = [name.format(number) for number in range(count)]
    drafts = "".join(
        f"begin\nname {one}\ndirection 0 1 0\nlength 1\naxis 0 0 0 XYZ\nend\n" for one in named
    )
    tree = "".join(
        f"{parent} {one}\n" for parent, one in zip(["root", *named], named, strict=False)
    )
    return (
        ":units\nlength 0.45\nangle deg\n:root\norder TX TY TZ RX RY RZ\naxis XYZ\n"
        f"position 0 0 0\norientation 0 0 0\n:bonedata\n{drafts}:hierarchy\nbegin\n{tree}end\n"
    )


def asf(folder: Path, content: str) -> Path:
    path = folder / "01.asf"
    path.write_text(content)
    return path


def amc(folder: Path, frames: int) -> Path:
    asf(folder, bones(900))
    path = folder / "01.amc"
    path.write_text(
        ":DEGREES\n" + "".join(f"{frame}\nroot 0 0 0 0 0 0\n" for frame in range(1, frames + 1))
    )
    return path


def c3d(folder: Path) -> Path:
    """Parameters every few bytes, each of which says that it goes on to the end of the file."""
    path = folder / "take.c3d"
    parameters = b"".join(
        struct.pack("<bb4sHbbBB", 4, 1, b"%04X" % number, 6, -1, 2, 255, 255)
        for number in range(60_000)
    )
    content = RawC3d(np.zeros((4, 3, 3), np.float32)).content()
    path.write_bytes(content[:516] + parameters + content[516:])
    return path


ZEROS = npy((350_000, 156), bytes(350_000 * 156 * 4), "<f4")
ATTACKS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "AMASS: zeros, packed": (lambda at: amass(at, poses=ZEROS), "budget: bytes"),
    "AMASS: zeros of one byte, packed": (
        lambda at: amass(at, poses=npy((350_000, 156), bytes(350_000 * 156), "|u1")),
        "budget: bytes",
    ),
    "AMASS: a trillion rows": (lambda at: amass(at, poses=npy((10**12, 0), b"", "<f8")), "budget"),
    "AMASS: objects for numbers": (
        lambda at: amass(at, betas=npy((1,), b"\x80\x04(" + b"\x8f" * 2**24 + b"t.")),
        "holds objects",
    ),
    "AMASS: a gender of sets": (
        lambda at: amass(at, gender=npy((), b"\x80\x04(" + b"\x8f" * 2**24 + b"t.")),
        "budget: opcodes",
    ),
    "body model: 16 Mi sets": (lambda at: body(at, b"(" + b"\x8f" * 2**24 + b"t"), "budget"),
    "body model: 16 Mi lists": (lambda at: body(at, b"(" + b"]" * 2**24 + b"t"), "budget"),
    "body model: 16 Mi dicts": (lambda at: body(at, b"(" + b"}" * 2**24 + b"t"), "budget"),
    "body model: selections, 30 deep": (lambda at: body(at, selections(30)), "NoneType"),
    "body model: selections, 60 deep": (lambda at: body(at, selections(60)), "budget: nesting"),
    "body model: a selection of itself": (lambda at: body(at, itself()), "budget: nesting"),
    "body model: a matrix of nothing": (lambda at: body(at, sparse(2**30, 2**30)), "budget: bytes"),
    "BVH: end sites in end sites": (
        lambda at: bvh(at, "End Site\n{\n" * 50_000 + "}\n" * 50_000),
        "more than 1000 joints",
    ),
    "BVH: a name of a megabyte": (
        lambda at: bvh(at, f"JOINT {'x' * 2**20}\n{{\n" + "End Site\n{\n" * 900 + "}\n" * 901),
        "256 characters",
    ),
    "BVH: joints without channels": (
        lambda at: bvh(at, "JOINT a\n{\n}\n" * 900, 500_000, values="0\n" * 500_000),
        "budget: bytes",
    ),
    "BVH: frames of no length": (lambda at: bvh(at, time="5e-324"), "above zero"),
    "BVH: frames without end": (lambda at: bvh(at, frames=10**300), "header says"),
    "ASF: 30,000 bones": (lambda at: asf(at, bones(30_000)), "more than 1000 bones"),
    "ASF: names of a megabyte": (
        lambda at: asf(at, bones(9, "x" * 2**18 + "{}")),
        "256 characters",
    ),
    "AMC: bones that never turn": (lambda at: amc(at, 100_000), "budget: bytes"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_beyond_its_budget_is_refused(bounded: Bounded, tmp_path: Path, attack: str) -> None:
    make, reason = ATTACKS[attack]
    path = make(tmp_path)
    found = bounded_answer(bounded, path)
    assert reason in found.refused, found
    assert str(path) in found.refused
    assert "\n" not in found.refused


def test_parameters_that_go_on_to_the_end_take_no_memory(bounded: Bounded, tmp_path: Path) -> None:
    bounded_answer(bounded, c3d(tmp_path))


def flipped(path: Path, member: bytes) -> Path:
    content = bytearray(path.read_bytes())
    place = content.index(member) + len(member) + 60
    for byte in range(place, place + 40):
        content[byte] ^= 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_within_one_take_leaves_the_others(tmp_path: Path, save: Callable[..., Any]) -> None:
    write_asf(tmp_path / "01.asf")
    write_amc(tmp_path / "01_01.amc", 6)
    content = dict(np.load(write_amass(tmp_path / "x_poses.npz")))
    save(tmp_path / "x_poses.npz", **content)
    flipped(tmp_path / "x_poses.npz", b"poses.npy")
    body(tmp_path, pickle.dumps({}))
    takes = read_takes(Capture(tmp_path, fps=60), lambda *_: None)
    assert len(takes.clips) == 1
    (reason,) = takes.left_out
    assert "x_poses.npz" in reason
    assert "damaged" in reason


def test_skeletons_of_no_end_of_holes_are_not_compared(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        with (folder / "01.asf").open("wb") as file:
            file.truncate(2**40)
        write_amc(folder / "01_01.amc", 6)
    takes = read_takes(Capture(tmp_path, fps=60), lambda *_: None)
    assert [reason.count("bytes are more than") for reason in takes.left_out] == [1, 1]


def test_a_body_model_with_damage_is_one_line(tmp_path: Path) -> None:
    for content in (
        b"",
        b"\x80",
        b"\x80\x04}.",
        b"\x80\x04]q\x00h\x00a.",
        b"\x80\x04K\x01b.",
        b"(",
    ):
        path = tmp_path / "body.pkl"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"body\.pkl: [^\n]*$"):
            Body.load(path)
