"""C3D files: those of another library, those with the quirks of real ones, and damaged ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.markers import LABELS, markers, write_c3d
from tests.support.raw_c3d import RawC3d

from poise.mocap.formats.c3d import C3dTake, read_c3d
from poise.runtime.errors import DataError

POINTS = np.random.default_rng(1).uniform(1, 2000, (30, 17, 3)).astype(np.float32)


def test_reads_what_another_library_wrote(tmp_path: Path) -> None:
    take = read_c3d(write_c3d(tmp_path / "take.c3d", markers(), LABELS))
    assert (take.fps, take.metres, take.labels) == (120, 0.001, tuple(LABELS))
    np.testing.assert_array_equal(take.points_FP3, markers().astype(np.float32))


def test_more_labels_than_a_parameter_holds(tmp_path: Path) -> None:
    labels = [f"M{number}" for number in range(300)]
    points = np.repeat(markers()[:, :1], len(labels), axis=1)
    assert read_c3d(write_c3d(tmp_path / "many.c3d", points, labels)).labels == tuple(labels)


@pytest.mark.parametrize(
    "written", [np.nan, 0, -16512, 9999, -99999, 1e30], ids=lambda value: f"{value:g}"
)
def test_unseen_points_are_missing(tmp_path: Path, written: float) -> None:
    points = POINTS.copy()
    points[3:5, 5] = written
    points[7, 2, 1] = -16512  # a coordinate alone is a place
    found = read(tmp_path, points).points_FP3
    missing = np.zeros(points.shape, bool)
    missing[3:5, 5] = True
    np.testing.assert_array_equal(np.isnan(found), missing)


def test_points_that_no_camera_saw_are_missing(tmp_path: Path) -> None:
    points = markers()
    points[3, 5] = np.nan  # its residual is -1
    found = read_c3d(write_c3d(tmp_path / "take.c3d", points, LABELS)).points_FP3
    np.testing.assert_array_equal(np.isnan(found), np.isnan(points))


def read(folder: Path, points: NDArray[np.float32] = POINTS, **quirks: Any) -> C3dTake:
    file = folder / "take.c3d"
    file.write_bytes(RawC3d(points, **quirks).content())
    return read_c3d(file)


def test_labels_end_at_their_first_nul(tmp_path: Path) -> None:
    labels = [f"{name} \0left over" for name in LABELS]
    take = read_c3d(write_c3d(tmp_path / "take.c3d", markers(), labels))
    assert take.labels == tuple(LABELS)


@pytest.mark.parametrize("machine", ["intel", "dec", "mips"])
def test_floats_of_every_machine(tmp_path: Path, machine: str) -> None:
    take = read(tmp_path, machine=machine)
    assert (take.fps, take.metres, len(take.labels)) == (120, 0.001, 17)
    np.testing.assert_array_equal(take.points_FP3, POINTS)


@pytest.mark.parametrize("machine", ["intel", "dec", "mips"])
def test_whole_numbers_of_every_machine(tmp_path: Path, machine: str) -> None:
    take = read(tmp_path, machine=machine, scale=0.25)
    np.testing.assert_array_equal(take.points_FP3, np.rint(POINTS * 4) / 4)


@pytest.mark.parametrize(
    "quirks",
    [
        {"counted": 31},
        {"counted": 29},
        {"last": 0},
        {"last": 0, "counted": 0},
        {"last": 20},
        {"last": 20, "analog": 5},
        {"header_scale": 1.0},
        {"more": [("P", "Mass", 2, [], b"\1\0"), ("P", "MASS", 2, [], b"\2\0")]},
        {"more": [("ANALOG", "USED", 2, [], b"\5\0")]},
        {"analog": 5},
        {"analog": 5, "header_analog": 0, "more": [("ANALOG", "USED", 2, [], b"\5\0")]},
    ],
    ids=lambda quirks: " ".join(quirks),
)
def test_points_do_not_hang_on_what_is_beside_them(tmp_path: Path, quirks: dict[str, Any]) -> None:
    np.testing.assert_array_equal(read(tmp_path, **quirks).points_FP3, POINTS)


@pytest.mark.parametrize(
    ("last", "told"),
    [(0xFFFF, False), (0xFFFF, True), (66_000 - 0x10000, True)],
    ids=["end of numbers", "end of numbers, told", "wrapped, told"],
)
def test_more_frames_than_the_header_can_count(tmp_path: Path, last: int, told: bool) -> None:
    points = np.arange(1, 66_001, dtype=np.float32)[:, None, None] * np.ones((1, 8, 3), np.float32)
    points[..., 0] += 1
    fields = [("START", [1, 0]), ("END", [66_000 - 0x10000, 1])]
    more = [
        ("TRIAL", f"ACTUAL_{name}_FIELD", 2, [2], np.array(words, "<u2").tobytes())
        for name, words in fields
    ]
    take = read(tmp_path, points, last=last, counted=last, more=more if told else [])
    np.testing.assert_array_equal(take.points_FP3, points)


@pytest.mark.parametrize("unit", [None, "mete", "ft"])
def test_unknown_units_are_named(tmp_path: Path, unit: str | None) -> None:
    with pytest.raises(DataError, match=f"POINT:UNITS '{unit or ''}'.*units are m, cm, mm"):
        read(tmp_path, unit=unit)
    file = tmp_path / "take.c3d"
    assert read_c3d(file, "mm").metres == 0.001


@pytest.mark.parametrize(
    ("unit", "metres"),
    [("MM", 0.001), ("Meters", 1), ("millimetres", 0.001), ("cm", 0.01), ("inches", 0.0254)],
)
def test_units_by_their_names(tmp_path: Path, unit: str, metres: float) -> None:
    assert read(tmp_path, unit=unit).metres == metres


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    file = write_c3d(tmp_path / "take.c3d", markers(), LABELS)
    file.write_bytes(file.read_bytes()[:-2048])
    with pytest.raises(DataError, match=r"\d+ of 30 frames are there; it is cut short"):
        read_c3d(file)


@pytest.mark.parametrize("content", [b"", b"P", b"not a c3d file" * 100, bytes([2, 0x50])])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "take.c3d"
    file.write_bytes(content)
    with pytest.raises(DataError, match="not a whole C3D"):
        read_c3d(file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.c3d: cannot be read"):
        read_c3d(tmp_path / "none.c3d")


def test_damage_is_harmless_or_named(tmp_path: Path) -> None:
    whole = RawC3d(POINTS).content()
    draw = np.random.default_rng(0)
    file = tmp_path / "take.c3d"
    for round_ in range(400):
        content = bytearray(whole)
        for place in draw.integers(0, 1024 if round_ % 2 else len(whole), 1 + round_ % 12):
            content[place] = draw.integers(256)
        file.write_bytes(content[: draw.integers(len(whole)) if round_ % 5 == 0 else None])
        try:
            take = read_c3d(file)
        except DataError as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert take.points_FP3.ndim == 3
