"""BVH as other programs write it: what means nothing is read over, and what does is kept."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.takes import real_takes, write_bvh, write_person

from poise.mocap.formats import cgspeed
from poise.mocap.formats.bvh import read_bvh


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HIERARCHY", "\ufeffHIERARCHY"),
        ("HIERARCHY", "\n\nHIERARCHY"),
        ("HIERARCHY", "# made by hand\nHIERARCHY"),
        ("MOTION", "\n// the motion\nMOTION\n"),
        ("MOTION\n", "MOTION"),
        ("Frames:", "Frames"),
        ("\n", "\r\n"),
    ],
)
def test_what_means_nothing_is_read_over(tmp_path: Path, old: str, new: str) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole, text = read_bvh(file), file.read_text()
    file.write_bytes(text.replace(old, new).encode())
    take = read_bvh(file)
    assert take.notes == ()
    np.testing.assert_array_equal(take.values_FC, whole.values_FC)


def test_one_row_more_than_told_is_taken_with_a_note(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file)
    file.write_text(file.read_text().replace("Frames:\t24", "Frames:\t23"))
    take = read_bvh(file)
    np.testing.assert_array_equal(take.values_FC, whole.values_FC)
    assert "24 frames, where its header says 23" in take.notes[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"(?<=\d)\.(?=\d)", ","),
        (r"(?<=\d) -", "-"),
        (r"(?<=\d) (?=[-\d])", ", "),
        (r"(?<=\d) (?=[-\d]+\.)", ","),
        (r"(?<=\d) (?=[-\d])", "\t"),
    ],
    ids=["decimal commas", "minus glued", "commas between", "commas alone", "tabs"],
)
def test_numbers_however_they_are_set(tmp_path: Path, old: str, new: str) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole, text = read_bvh(file), file.read_text()
    changed = re.sub(old, new, text)
    assert changed != text
    file.write_text(changed)
    take = read_bvh(file)
    np.testing.assert_array_equal(take.values_FC, whole.values_FC)
    np.testing.assert_array_equal(take.positions(), whole.positions())
    assert take.fps == whole.fps


def test_lines_may_go_on_in_the_next_one(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole, text = read_bvh(file), file.read_text()
    file.write_text(re.sub(r"(OFFSET|CHANNELS \d Zrotation) ", r"\1\n", text))
    take = read_bvh(file)
    assert take.names == whole.names
    np.testing.assert_array_equal(take.positions(), whole.positions())


def test_root_stands_where_its_channels_say(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file)
    file.write_text(file.read_text().replace("OFFSET 0 0 0", "OFFSET 0 94 0", 1))
    np.testing.assert_array_equal(read_bvh(file).positions(), whole.positions())


@pytest.mark.parametrize("spelt", ["nan", "NaN", "-nan(ind)", "1.#QNAN", "-1.#IND00"])
def test_what_hangs_on_an_unknown_angle_is_unknown(tmp_path: Path, spelt: str) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file).positions()
    head, rows = file.read_text().split("Frame Time:\t0.0083333\n")
    lines = rows.splitlines()
    lines[2] = " ".join([*lines[2].split()[:8], spelt])  # the knee's last angle
    file.write_text(f"{head}Frame Time:\t0.0083333\n" + "\n".join(lines))
    found = read_bvh(file).positions()
    unknown = np.zeros(found.shape, bool)
    unknown[2, 2] = True
    np.testing.assert_array_equal(np.isnan(found), unknown)
    np.testing.assert_array_equal(found[~unknown], whole[~unknown])


def test_two_joints_of_one_name_are_told_apart(tmp_path: Path) -> None:
    file = write_person(tmp_path / "take.bvh", {"pelvis": "hip", "left_hip": "leg"})
    file.write_text(file.read_text().replace("JOINT leg", "JOINT hip"))
    take = read_bvh(file)
    assert take.names == ("hip", "hip#2")
    assert take.notes == (f"{file}: several joints are called hip; the first counts",)
    assert take.channels("hip").shape[1] == 6
    assert take.channels("hip#2").shape[1] == 3


def test_end_sites_of_one_joint_are_told_apart(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    site = re.search(r"End Site\s*{[^}]*}", file.read_text())
    assert site is not None
    file.write_text(file.read_text().replace(site[0], site[0] * 2))
    take = read_bvh(file)
    assert (take.names, take.notes) == (("hip", "knee", "knee_end", "knee_end#2"), ())


@pytest.mark.parametrize("first", [True, False])
def test_of_several_skeletons_the_largest_is_taken(tmp_path: Path, first: bool) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole, text = read_bvh(file), file.read_text()
    prop = "ROOT Prop\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n}\n"
    tree, _, motion = text.partition("MOTION\n")
    header, rows = motion.splitlines()[:2], motion.splitlines()[2:]
    if first:
        tree, rows = tree.replace("ROOT", f"{prop}ROOT"), [f"7 8 9 {row}" for row in rows]
    else:
        tree, rows = tree + prop, [f"{row} 7 8 9" for row in rows]
    file.write_text("\n".join([tree + "MOTION", *header, *rows]))
    take = read_bvh(file)
    np.testing.assert_array_equal(take.positions(), whole.positions())
    assert take.names == whole.names
    assert "2 skeletons; hip is taken, not Prop" in take.notes[0]


def test_positions_of_a_joint_replace_its_offset(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file)
    knee = whole.joints[1]
    moving = replace(
        knee,
        offset_3=np.array([9.0, 9.0, 9.0]),
        channels=("xposition", "yposition", "zposition", *knee.channels),
    )
    frames = len(whole.values_FC)
    values_FC = np.hstack(
        [whole.values_FC[:, :6], np.tile(knee.offset_3, (frames, 1)), whole.values_FC[:, 6:]]
    )
    take = replace(whole, joints=(whole.joints[0], moving, *whole.joints[2:]), values_FC=values_FC)
    np.testing.assert_allclose(take.positions(), whole.positions(), atol=1e-12)
    step = {knee.name: np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(
        take.shifted(step).positions(), whole.shifted(step).positions(), atol=1e-12
    )


@pytest.mark.parametrize("prefix", ["Anna:", "Anna:Body:", "Character1_", "set|"])
def test_prefixes_of_names_are_ignored(prefix: str) -> None:
    take = read_bvh(real_takes() / "daz_02_01.bvh")
    joints = tuple(replace(joint, name=prefix + joint.name) for joint in take.joints)
    named = replace(take, joints=joints)
    assert cgspeed.dialect_of(named).prefix == "daz"
    np.testing.assert_array_equal(cgspeed.joints_of(named, None), cgspeed.joints_of(take, None))
