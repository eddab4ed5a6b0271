"""Markers of a take: gaps, and the map that makes them joints."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.markers import LABELS, markers, write_c3d

from poise.mocap.clip import JOINTS
from poise.mocap.formats.c3d import read_c3d
from poise.mocap.formats.markers import MarkerMap, joints_of, read_marker_map
from poise.runtime.errors import DataError


def read(file: Path, markers: MarkerMap) -> NDArray[np.float64]:
    return joints_of(file, read_c3d(file), markers)


ONE_MARKER_EACH = MarkerMap("y", 3, {joint: (f"M{joint}",) for joint in JOINTS})


@pytest.mark.parametrize("spelt", ["{}", "Anna:{}", "lower", "upper", "Anna: {} ", "Anna_{}"])
@pytest.mark.parametrize(("unit", "metres"), [("mm", 0.001), ("m", 1.0)])
def test_markers_become_joints(tmp_path: Path, spelt: str, unit: str, metres: float) -> None:
    points = markers()
    labels = [
        spelt.format(name) if "{" in spelt else str(getattr(name, spelt)()) for name in LABELS
    ]
    file = write_c3d(tmp_path / "take.c3d", points, labels, unit)
    np.testing.assert_allclose(read(file, ONE_MARKER_EACH), points * metres, rtol=1e-6)


def test_joint_is_the_mean_of_its_markers_and_z_turns_up(tmp_path: Path) -> None:
    points = markers()
    file = write_c3d(tmp_path / "take.c3d", points, LABELS)
    joints = dict(ONE_MARKER_EACH.joints) | {"pelvis": ("Mright_hip", "Mleft_hip")}
    joints_FJ3 = read(file, MarkerMap("z", 3, joints))
    x, y, z = points[:, [JOINTS.index("right_hip"), JOINTS.index("left_hip")]].mean(1).T / 1000
    np.testing.assert_allclose(joints_FJ3[:, 0], np.stack([x, z, -y], 1), rtol=1e-6)


def test_short_gaps_are_filled_and_ends_cut(tmp_path: Path) -> None:
    whole = markers()
    points = whole.copy()
    points[:2, 4] = np.nan
    points[29, 5] = np.nan
    points[10:13, 7] = np.nan
    joints_FJ3 = read(write_c3d(tmp_path / "take.c3d", points, LABELS), ONE_MARKER_EACH)
    # Everything moves evenly, so interpolation is exact.
    np.testing.assert_allclose(joints_FJ3, whole[2:29] / 1000, rtol=1e-5)


def test_joints_are_missing_in_long_gaps(tmp_path: Path) -> None:
    whole, head, hip = markers(), JOINTS.index("head"), JOINTS.index("right_hip")
    points = whole.copy()
    points[10:14, head] = points[20:23, head] = points[5, hip] = np.nan
    found = read(write_c3d(tmp_path / "take.c3d", points, LABELS), ONE_MARKER_EACH)
    missing = np.zeros(found.shape, bool)
    missing[10:14, head] = True
    np.testing.assert_array_equal(np.isnan(found), missing)
    np.testing.assert_allclose(found[~missing], whole[~missing] / 1000, rtol=1e-5)


@pytest.mark.parametrize("start", [15, 22])
def test_where_few_frames_show_all_none_is_cut(tmp_path: Path, start: int) -> None:
    points = markers()
    points[:20, 3] = points[start:, 4] = np.nan
    found = read(write_c3d(tmp_path / "take.c3d", points, LABELS), ONE_MARKER_EACH)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(points))


@pytest.mark.parametrize("unseen", [True, False])
def test_joints_without_markers_are_missing(tmp_path: Path, unseen: bool) -> None:
    points, labels, gone = markers(), [*LABELS], [JOINTS.index("head"), JOINTS.index("left_ankle")]
    for place in gone:
        if unseen:
            points[:, place] = np.nan
        else:
            labels[place] = f"other{place}"
    found = read(write_c3d(tmp_path / "take.c3d", points, labels), ONE_MARKER_EACH)
    absent = np.isin(np.arange(len(JOINTS)), gone)
    assert np.isnan(found[:, absent]).all()
    np.testing.assert_allclose(found[:, ~absent], markers()[:, ~absent] / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["other", *LABELS[1:]], "no markers are called Mpelvis, .*; there are other, Mright_hip"),
        ([*LABELS[:-5], *"abcde"], "no markers are called Mleft_elbow, Mleft_wrist, Mright_elb"),
        ([*(f"A:{name}" for name in LABELS[:-1]), "B:Mpelvis"], "2 markers are called Mpelvis"),
    ],
)
def test_without_needed_markers_is_refused(tmp_path: Path, labels: list[str], says: str) -> None:
    file = write_c3d(tmp_path / "take.c3d", markers(), labels)
    with pytest.raises(DataError, match=says):
        read(file, ONE_MARKER_EACH)


TOML = 'up = "z"\nlongest_gap = 5\n[joints]\n' + "".join(
    f'{joint} = ["{joint}1", "{joint}2"]\n' for joint in JOINTS
)


def test_marker_map(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(TOML)
    found = read_marker_map(file)
    assert (found.up, found.longest_gap) == ("z", 5)
    assert found.joints["neck"] == ("neck1", "neck2")
    assert len(found.markers) == 34


def test_marker_map_with_short_names(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(TOML)
    full = read_marker_map(file)
    short = re.sub(r"(?m)^(l|r)(?:eft|ight)_", r"\1", TOML).replace("pelvis =", "hip =")
    file.write_text(short)
    assert short != TOML
    assert read_marker_map(file) == full


def test_whole_label_goes_before_one_in_another_case(tmp_path: Path) -> None:
    points = np.concatenate([markers(), markers()[:, :1] + 99], axis=1)
    file = write_c3d(tmp_path / "take.c3d", points, [*LABELS, LABELS[0].lower()])
    np.testing.assert_allclose(read(file, ONE_MARKER_EACH), markers() / 1000, rtol=1e-6)


def test_marker_map_may_leave_joints_empty(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(TOML.replace('["neck1", "neck2"]', "[]"))
    assert read_marker_map(file).joints["neck"] == ()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda text: text.replace('["left_hip1", "left_hip2"]', "[]"), "joint left_hip"),
        (lambda text: text.replace('"z"', '"x"'), "up = 'y' or 'z'"),
        (lambda text: text.replace("longest_gap = 5", "gap = 5"), "gap is not known"),
        (lambda text: text.replace("longest_gap = 5", "longest_gap = -1"), "longest_gap = frames"),
        (lambda text: text.replace('neck = ["neck1", "neck2"]\n', ""), "joint neck"),
        (lambda text: text.replace("neck =", "nek ="), "joint nek is unknown"),
        (lambda text: text[:-3], "map.toml"),
        (lambda text: 'unit = "ft"\n' + text, "unit is 'ft', expected one of m, cm, mm, in"),
        (lambda text: 'unit = ["mm"]\n' + text, "expected one of m, cm, mm, in"),
        (lambda text: text.replace('["neck1", "neck2"]', "7"), "joint neck"),
    ],
)
def test_wrong_marker_maps_are_refused(
    tmp_path: Path, edit: Callable[[str], str], says: str
) -> None:
    file = tmp_path / "map.toml"
    file.write_text(edit(TOML))
    with pytest.raises(DataError, match=says):
        read_marker_map(file)
