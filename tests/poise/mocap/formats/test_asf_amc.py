"""Acclaim files, against an independent reader and against damage."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyacclaim
import pytest
from numpy.typing import NDArray
from tests.support.takes import real_takes, write_amc, write_asf

from poise.mocap.formats.amc import read_amc
from poise.mocap.formats.asf import read_asf
from poise.mocap.joints import ACCLAIM, pick
from poise.runtime.errors import DataError

REAL = ["07_01", "11_01", "16_15", "35_01", "39_12", "49_01"]


def reference(asf: Path, amc: Path) -> dict[int, dict[str, NDArray[np.float64]]]:
    """Return the bones' ends of some frames in file units as the package pyacclaim computes them.

    It divides lengths by the file's length unit, and never returns the last frame.
    """
    skeleton = pyacclaim.loadASF(str(asf), verbose=False)
    unit = skeleton["units"]["length"]
    poses = pyacclaim.loadAMC(skeleton, str(amc))
    found = {}
    for frame in range(0, len(poses), 11):
        skeleton["bones"]["root"].set_pose(poses[frame])
        bones = skeleton["bones"].items()
        found[frame] = {name: bone.global_coordinate * unit for name, bone in bones}
    return found


def assert_agrees(asf: Path, amc: Path) -> None:
    skeleton = read_asf(asf)
    ours_FJ3 = read_amc(amc, skeleton)
    theirs = reference(asf, amc)
    assert 1 < len(theirs) < len(ours_FJ3)
    for frame, bones in theirs.items():
        expected = np.stack([bones[name] for name in skeleton.names])
        np.testing.assert_allclose(ours_FJ3[frame], expected, atol=1e-9)


@pytest.mark.parametrize("take", REAL)
def test_real_takes_agree_with_another_reader(take: str) -> None:
    folder = real_takes()
    assert_agrees(folder / f"{take[:2]}.asf", folder / f"{take}.amc")


def test_made_up_take_agrees_with_another_reader(tmp_path: Path) -> None:
    assert_agrees(write_asf(tmp_path / "01.asf"), write_amc(tmp_path / "01_01.amc"))


@pytest.mark.parametrize("take", REAL)
def test_bones_keep_their_length(take: str) -> None:
    folder = real_takes()
    skeleton = read_asf(folder / f"{take[:2]}.asf")
    ends_FJ3 = read_amc(folder / f"{take}.amc", skeleton)
    for place, bone in enumerate(skeleton.bones[1:], start=1):
        lengths_F = np.linalg.norm(ends_FJ3[:, place] - ends_FJ3[:, bone.parent], axis=-1)
        np.testing.assert_allclose(lengths_F, bone.length, rtol=1e-5)


def test_unit_is_that_of_the_file(tmp_path: Path) -> None:
    assert read_asf(write_asf(tmp_path / "a.asf")).metres == pytest.approx(0.056444, abs=1e-6)
    assert read_asf(write_asf(tmp_path / "b.asf", length=1.0)).metres == 0.0254


def test_first_frame_may_have_any_number(tmp_path: Path) -> None:
    skeleton = read_asf(write_asf(tmp_path / "01.asf"))
    late = read_amc(write_amc(tmp_path / "late.amc", first=135), skeleton)
    np.testing.assert_array_equal(late, read_amc(write_amc(tmp_path / "one.amc"), skeleton))


Edit = Callable[[str], str]


def cut(part: float) -> Edit:
    return lambda text: text[: int(len(text) * part)]


def swap(old: str, new: str, count: int = 1) -> Edit:
    return lambda text: text.replace(old, new, count)


def in_radians(text: str) -> str:
    """Write the angles of a motion in radians: all of a bone's, and the root's last three."""

    def turned(row: re.Match[str]) -> str:
        name, *values = row[0].split()
        kept = 3 if name == "root" else 0
        turns = [f"{np.radians(float(value)):.12g}" for value in values[kept:]]
        return " ".join([name, *values[:kept], *turns])

    return re.sub(r"(?m)^[a-z]+ .*$", turned, text)


def axes_in_radians(text: str) -> str:
    def turned(found: re.Match[str]) -> str:
        return " ".join(f"{np.radians(float(word)):.12g}" for word in found[0].split())

    return re.sub(r"(?<=axis )[-\d. ]+(?=  XYZ)", turned, text).replace("angle deg", "angle rad")


DIALECTS: dict[str, tuple[Edit, Edit]] = {
    "upper case": (str.upper, str.upper),
    "skeleton in upper case": (str.upper, str),
    "some in upper case": (swap("begin", "Begin", 99), swap("\nlfemur", "\nLFemur", 99)),
    "skeleton in radians": (axes_in_radians, str),
    "both in radians": (axes_in_radians, lambda text: in_radians(text.replace(":DEGREES", ""))),
    "motion in radians": (str, lambda text: in_radians(text.replace(":DEGREES", ":Radians"))),
    "nothing said": (str, swap(":FULLY-SPECIFIED\n:DEGREES\n", "")),
    "no header": (str, lambda text: "1\n" + text.partition("\n1\n")[2]),
    "tabs": (swap(" ", "\t", 9999), swap(" ", "\t", 9999)),
    "comments": (
        swap(":bonedata", "# the bones\n\n:bonedata\n#"),
        swap("\n9\n", "\n# ninth\n\n9 # here\n\n"),
    ),
    "blank lines": (swap("\n", "\n\n", 9999), swap("\nlfemur", "\n\n  lfemur", 99)),
    "decimal commas": (lambda text: re.sub(r"(?<=\d)\.(?=\d)", ",", text),) * 2,
    "minus glued": (str, lambda text: re.sub(r"(?<=\d) -", "-", text)),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_mean_the_same(tmp_path: Path, dialect: str) -> None:
    files = write_asf(tmp_path / "01.asf"), write_amc(tmp_path / "01_01.amc")
    whole = read_amc(files[1], read_asf(files[0]))
    texts = [file.read_text() for file in files]
    for file, text, edit in zip(files, texts, DIALECTS[dialect], strict=True):
        file.write_text(edit(text))
    assert [file.read_text() for file in files] != texts
    np.testing.assert_allclose(read_amc(files[1], read_asf(files[0])), whole, atol=1e-7)


def test_two_bones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = write_asf(tmp_path / "01.asf"), write_amc(tmp_path / "01_01.amc")
    whole = read_amc(files[1], read_asf(files[0]))
    for file in files:
        file.write_text(re.sub(r"\bltibia\b", "rtibia", file.read_text()))
    skeleton = read_asf(files[0])
    place = {name: skeleton.names.index(name) for name in ("rtibia", "rtibia#2")}
    assert skeleton.bones[place["rtibia#2"]].parent == skeleton.names.index("rfemur")
    assert skeleton.notes == (f"{files[0]}: several bones are called rtibia; the first counts",)
    np.testing.assert_array_equal(read_amc(files[1], skeleton), whole)


def test_frames_may_count_from_zero(tmp_path: Path) -> None:
    skeleton = read_asf(write_asf(tmp_path / "01.asf"))
    zero = read_amc(write_amc(tmp_path / "zero.amc", first=0), skeleton)
    np.testing.assert_array_equal(zero, read_amc(write_amc(tmp_path / "one.amc"), skeleton))


def test_upright_person_has_right_on_the_right(tmp_path: Path) -> None:
    skeleton = read_asf(write_asf(tmp_path / "01.asf"))
    ends_FJ3 = read_amc(write_amc(tmp_path / "01_01.amc", frames=2), skeleton)
    hip, rhip, *_, head = pick(ends_FJ3, skeleton.names, ACCLAIM)[0][:11]
    assert head[1] > hip[1] + 8
    assert rhip[0] < hip[0]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (cut(0.55), r"take\.amc, line \d+: (the file ends within frame \d+|.*expected \w+ and)"),
        (lambda text: text.partition("\n5\n")[0] + "\n5\nroot 1 2 3 4 5 6\n", "cut short"),
        (swap("\n7\n", "\n8\n"), r"line 112: '8', expected frame 7"),
        (swap("lfemur", "lfemurr", 3), "first frame has no lfemur"),
        (lambda text: re.sub("\nltibia .*", "\nltibia x", text), r"line 7: 'x' is not a finite"),
        (lambda text: re.sub("(\n9\nroot .*)", r"\1 7", text), "in frame 9, expected root and 6"),
        (swap("root 0.2", "root nan"), r"'nan\w*' is not a finite number"),
        (lambda text: "", "no frames"),
        (lambda text: "\x00\x01\x02" * 99, "no frames"),
    ],
)
def test_damaged_motion_is_refused_with_its_line(tmp_path: Path, edit: Edit, says: str) -> None:
    skeleton = read_asf(write_asf(tmp_path / "01.asf"))
    take = write_amc(tmp_path / "take.amc")
    take.write_text(edit(take.read_text()))
    with pytest.raises(DataError, match=says) as caught:
        read_amc(take, skeleton)
    assert str(take) in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (cut(0.5), "no section :hierarchy"),
        (cut(0.95), "cut short"),
        (swap(":bonedata", ":bones"), "no section :bonedata"),
        (swap("length 6.9", "length six"), r"line \d+: 'six' is not a finite number"),
        (swap("direction 0.34", "direction"), "without a whole 'direction'"),
        (swap("dof rx ry rz", "dof rx l"), "only rx, ry, rz"),
        (swap("orientation 0 0 0", "orientation 0 90 0"), "orientation is not zero"),
        (swap("    lhipjoint lfemur\n", ""), "bone lfemur hangs on nothing"),
        (swap("lfemur ltibia\n", "lfemur ltibia tail\n"), "names tail, which is no bone"),
        (swap("length 0.45", "length 0"), "expected a positive length"),
        (swap("angle deg", "angle gon"), "angle deg or rad"),
        (swap("order TX TY TZ", "order TX TY"), "root order"),
    ],
)
def test_damaged_skeleton_is_refused(tmp_path: Path, edit: Edit, says: str) -> None:
    file = write_asf(tmp_path / "01.asf")
    file.write_text(edit(file.read_text()))
    with pytest.raises(DataError, match=says) as caught:
        read_asf(file)
    assert str(file) in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.asf: cannot be read"):
        read_asf(tmp_path / "nowhere.asf")
