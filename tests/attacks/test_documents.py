"""Folders, archives, plans and manifests that somebody made to be awkward."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.bodies import write_amass, write_body
from tests.support.bounded import Bounded
from tests.support.takes import write_amc, write_asf, write_bvh

from poise.catalog.datasets import read_dataset
from poise.catalog.tracks import Track
from poise.experiments.plan import load_plan
from poise.lake.manifest import MANIFEST, read_manifest, track_folder
from poise.mocap.convert import Capture, read_takes
from poise.mocap.formats.markers import read_marker_map
from poise.mocap.skeleton_map import read_skeleton_map
from poise.readers.untrusted.object_npz import ObjectColumn

MOST_SECONDS = 20.0
MOST_MIB = 500.0
TRACK = Track.parse("uiprmd/kinect/3D")


@pytest.fixture(scope="module")
def bounded() -> Iterator[Bounded]:
    with Bounded() as process:
        yield process


def refused(bounded: Bounded, call: Callable[..., None], *args: object) -> str:
    found = bounded.call(call, *args)
    assert found.refused
    assert len(found.refused) < 3000
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB
    return found.refused


def left_out(folder: Path, bodies: Path | None = None) -> list[str]:
    takes = read_takes(Capture(folder, 60, body_model=bodies), lambda *_: None)
    assert len(takes.clips) == 1
    return takes.left_out


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def test_pipes_and_files_with_holes_do_not_hold_a_batch_up(
    bounded: Bounded, tmp_path: Path
) -> None:
    write_asf(tmp_path / "01.asf")
    write_amc(tmp_path / "01_01.amc", 6)
    for name in ("02.asf", "02_01.amc", "03_01.bvh"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "04.asf").symlink_to("/dev/zero")
    (tmp_path / "again").symlink_to(tmp_path)
    sparse(tmp_path / "05_01.bvh", 2**40)
    sparse(tmp_path / "05_02.c3d", 2**40)
    sparse(tmp_path / "06_poses.npz", 2**40)
    found = bounded.call(left_out, tmp_path)
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB
    assert len(found.value) == 3
    assert any("1,099,511,627,776 bytes are more than" in reason for reason in found.value)


@pytest.mark.parametrize("gender", ["../../secret/x", "x" * 10**6, "\0", "m\n", "\x1b[2J"])
def test_a_gender_names_no_file_elsewhere(bounded: Bounded, tmp_path: Path, gender: str) -> None:
    write_asf(tmp_path / "01.asf")
    write_amc(tmp_path / "01_01.amc", 6)
    (tmp_path / "bodies/models").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    write_body(tmp_path / "secret/x/model.npz")
    write_amass(tmp_path / "x_poses.npz", gender=np.array(gender))
    (reason,) = bounded.call(left_out, tmp_path, tmp_path / "bodies/models").value
    assert reason.isprintable()
    assert len(reason) < 600


def column(path: Path) -> None:
    list(ObjectColumn(path, "joints_3d"))


def test_only_what_numpy_packs_by_is_unpacked(bounded: Bounded, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("joints_3d.npy", bytes(2**20))
        assert "packed by method" in refused(bounded, column, path)


def test_a_list_of_keys_is_cut_short(bounded: Bounded, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}{'k' * 200}.npy", b"")
    said = refused(bounded, column, path)
    assert "and 19,980 more" in said


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (f"{ALIASES}tracks: *i\nrefiners: *i\n", "values, each alias counted in full"),
        (f"{ALIASES}tracks: [a]\nrefiners: [{{name: input, overrides: *i}}]\n", "values, each"),
        ("tracks: " + "[" * 50_000, "is not YAML"),
        ("tracks: " + "{a: " * 50_000, "is not YAML"),
        ("epochs: " + "9" * 5000, "is not YAML"),
        ("a: &a [*a]\ntracks: *a", "values, each alias"),
        ("tracks: !!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_plan_without_end_is_refused(
    bounded: Bounded, tmp_path: Path, plan: str, says: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(plan)
    assert says in refused(bounded, _load_plan, str(path))


def _load_plan(path: str) -> None:
    load_plan(path)


def _read_manifest(lake: str) -> None:
    read_manifest(lake, TRACK)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"schema_version":' * 100_000,
        b'{"schema_version": 1e999}',
        b"\xff",
        b"9" * 5000,
    ],
)
def test_a_manifest_that_is_none_is_one_line(
    bounded: Bounded, tmp_path: Path, content: bytes
) -> None:
    folder = Path(track_folder(str(tmp_path), TRACK))
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(content)
    assert "\n" not in refused(bounded, _read_manifest, str(tmp_path))


def _read_dataset(path: Path) -> None:
    read_dataset(path.read_text(), str(path))


@pytest.mark.parametrize("read", [read_marker_map, read_skeleton_map, _read_dataset])
@pytest.mark.parametrize(
    "content", ["a = " + "[" * 50_000, "a = " + "{a=" * 50_000, "a=" + "9" * 5000]
)
def test_a_map_that_is_none_is_one_line(
    bounded: Bounded, tmp_path: Path, read: Callable[..., None], content: str
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(content)
    refused(bounded, read, path)


def test_a_take_that_is_a_folder_is_no_take(tmp_path: Path) -> None:
    write_bvh(tmp_path / "01_01.bvh", 6)
    (tmp_path / "02_01.bvh").mkdir()
    takes = read_takes(Capture(tmp_path, 60, estimate_thorax=True), lambda *_: None)
    assert takes.files == 1
