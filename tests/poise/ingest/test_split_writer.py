"""Bad input and bad places: what is wrong is named, what was good lands, and nothing is lost."""

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.ingesting import settings as places
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest import parts, split_writer
from poise.ingest import track as ingesting
from poise.ingest.sources import RawTrack
from poise.ingest.split_writer import SplitResult, write_split
from poise.ingest.track import IngestOptions
from poise.lake.manifest import (
    SCHEMA_VERSION,
    Manifest,
    part_folder,
    read_manifest,
    track_folder,
    write_manifest,
)
from poise.lake.parts import read_part, row_group_sizes
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage
from poise.runtime.errors import DataError, LakeError
from poise.training_data.split import load_split

KINECT = Track.parse("uiprmd/kinect/3D")
TRACK = Track.parse("h36m/fcn/3D")
WIDTH = 51
DRAW = np.random.default_rng(5)
#: What can be wrong with one sequence, the key that is blamed, and a word of the reason.
FAULTS = {
    "wide": ("keypoints_3d", "48 values a frame"),
    "empty": ("keypoints_3d", "expected (frames, values)"),
    "nan": ("keypoints_3d", "no joint seen in any of the 12 frames"),
    "longer truth": ("keypoints_3d", "frames were detected"),
    "short names": ("imgname", "image names for"),
    "strange name": ("imgname", "matches no image name"),
    "text": ("keypoints_3d", "not numbers"),
}
KINDS = ("good", "one frame", "shorter than a window", *FAULTS)


def objects(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def write(data: Path, kinds: list[str], split: str = "train") -> dict[str, Path]:
    """Write a split of one sequence for each kind; return the two files."""
    detected, truth, names = [], [], []
    for place, kind in enumerate(kinds):
        frames = {"one frame": 1, "shorter than a window": 5}.get(kind, 12)
        ours: NDArray[Any] = DRAW.random((frames, WIDTH), np.float32)
        theirs = ours + np.float32(0.1)
        images = [f"S{place % 5 + 1}/Walk {place}/camera1/{frame}.jpg" for frame in range(frames)]
        images_of_truth = images
        if kind == "wide":
            ours = ours[:, :48]
        elif kind == "empty":
            ours = ours[:0]
        elif kind == "nan":
            ours[:] = np.nan
        elif kind == "longer truth":
            theirs = np.concatenate([theirs, theirs])
            images_of_truth = images * 2
        elif kind == "short names":
            images = images[:-2]
        elif kind == "strange name":
            images = [f"holiday/{place}/{frame}.jpg" for frame in range(frames)]
        elif kind == "text":
            ours = np.full(ours.shape, "x")
        detected.append(ours)
        truth.append(theirs)
        names.append((images, images_of_truth))
    files = {}
    for kind, who, poses, column in (
        ("detected", "fcn", detected, 0),
        ("groundtruth", "gt", truth, 1),
    ):
        file = data / "poses" / "h36m_fcn_3D" / kind / f"h36m_{who}_3D_{split}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, imgname=objects([n[column] for n in names]), keypoints_3d=objects(poses))
        files[kind] = file
    return files


def rows_of(place: Path, found: SplitResult) -> list[dict[str, Any]]:
    folder = part_folder(str(place), TRACK, "sequences", "train")
    return [
        row
        for part in found.summary.sequences_parts
        for row in read_part(storage.join(folder, part)).to_pylist()
    ]


@settings(max_examples=25, deadline=None)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
def test_rows_in_are_rows_out_and_rows_quarantined(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("mix")
    files = write(folder, kinds)
    found = write_split(folder, TRACK, str(folder / "lake"), "train")
    good = [place for place, kind in enumerate(kinds) if kind not in FAULTS]
    assert found.summary.read == len(kinds) == found.summary.sequences + len(found.quarantined)
    rows = rows_of(folder / "lake", found)
    assert len(rows) == found.summary.sequences == len(good)
    assert sum(len(row["detected"]) for row in rows) == found.summary.frames
    wanted = {f"S{place % 5 + 1}/Walk {place}/camera1" for place in good}
    assert {row["sequence"] for row in rows} == wanted
    bad = [kind for kind in kinds if kind in FAULTS]
    for kind, left_out in zip(bad, found.quarantined, strict=True):
        key, reason = FAULTS[kind]
        assert left_out.key == key
        assert reason in left_out.reason
        blamed = files["groundtruth" if kind == "longer truth" else "detected"]
        assert left_out.file == str(blamed.relative_to(folder))


def test_columns_of_a_row(tmp_path: Path) -> None:
    write(tmp_path, ["good", "one frame"])
    found = write_split(tmp_path, TRACK, str(tmp_path / "lake"), "train")
    first, _ = rows_of(tmp_path / "lake", found)
    assert list(first)[:6] == ["sequence_id", "sequence", "subject", "camera", "action", "take"]
    assert (first["subject"], first["camera"], first["take"]) == ("S1", "1", "S1/Walk 0")
    assert found.summary.windows == 5 + 1


@pytest.mark.parametrize("column", ["detected", "groundtruth"])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_file_is_refused_whole(tmp_path: Path, column: str, how: str) -> None:
    file = write(tmp_path, ["good"] * 30)[column]
    content = bytearray(file.read_bytes())
    middle = content.index(b"keypoints_3d.npy") + 40_000
    if how == "cut":
        del content[middle:]
    else:
        content[middle : middle + 4] = b"\xff\x00\xff\x00"  # a pose that is wrong, yet finite
    file.write_bytes(content)
    with pytest.raises(DataError, match=file.name) as caught:
        write_split(tmp_path, TRACK, str(tmp_path / "lake"), "train")
    if how == "flipped":
        assert "none of its sequences can be trusted" in str(caught.value)


def test_parts_and_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ["good"] * 30)
    whole = rows_of(tmp_path / "a", write_split(tmp_path, TRACK, str(tmp_path / "a"), "train"))
    bytes_of_one = 2 * 4 * 12 * WIDTH
    monkeypatch.setattr(parts, "PART_BYTES", 10 * bytes_of_one)
    monkeypatch.setattr(parts, "GROUP_FRAMES", 48)
    monkeypatch.setattr(split_writer, "MEMORY_BYTES", 3 * bytes_of_one)
    found = write_split(tmp_path, TRACK, str(tmp_path / "b"), "train")
    folder = part_folder(str(tmp_path / "b"), TRACK, "sequences", "train")
    assert len(found.summary.sequences_parts) == 3
    for part in found.summary.sequences_parts:
        assert row_group_sizes(storage.join(folder, part)) == [4, 4, 2]
    assert rows_of(tmp_path / "b", found) == whole


def test_a_split_without_one_good_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ["good", "nan"])
    write(tmp_path, ["nan", "wide"], "test")
    monkeypatch.setattr("poise.ingest.track.connect", nullcontext)
    monkeypatch.setattr(
        "poise.ingest.draft.write_splits",
        lambda data, track, place, splits, _: [write_split(data, track, place, s) for s in splits],
    )
    place = tmp_path / "lake"
    made = ingesting.ingest(TRACK, places(tmp_path, lake=place), IngestOptions(pvd=False))
    train, test = made.splits["train"], made.splits["test"]
    assert (train.read, train.sequences, train.quarantined) == (2, 1, 1)
    assert (test.read, test.sequences, test.quarantined) == (2, 0, 2)
    assert len(made.quarantined) == 3
    assert read_windows(place, TRACK, "train").num_rows == train.windows == 5
    assert read_windows(place, TRACK, "test").num_rows == 0
    with pytest.raises(LakeError, match="the lake has no test sequences"):
        load_split(place, TRACK, "test")


SMALL_FILES = """
import resource, sys
from pathlib import Path
from ray.cloudpickle import dumps
from poise.catalog.tracks import Track
from poise.ingest.rounds import Tasks
from poise.ingest.tasks import answer
data, lake = sys.argv[1:]
work = dumps(Tasks(Path(data), Track.parse("h36m/fcn/3D"), lake).begin)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
print(answer({"number": 0, "piece": dumps("train")}, work, lake)["error"])
"""


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, ["good"] * 30)
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, str(tmp_path), str(tmp_path / "lake")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for said in ("cannot write to", "File too large", "run the same command again"):
        assert said in done.stdout
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


def test_a_lake_nobody_may_write_to(tmp_path: Path) -> None:
    write(tmp_path, ["good"])
    with pytest.raises(LakeError, match=r"h36m/fcn/3D: cannot write to /proc/lake"):
        ingesting.ingest(TRACK, places(tmp_path, lake="/proc/lake"), IngestOptions(pvd=False))


def test_a_file_nobody_may_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    file = write(tmp_path, ["good"])["detected"]
    file.chmod(0)
    with pytest.raises(DataError, match=r"h36m_fcn_3D_train\.npz: .*[Pp]ermission"):
        write_split(tmp_path, TRACK, str(tmp_path / "lake"), "train")


@pytest.mark.parametrize("where", ["footer", "page", "end"])
def test_a_damaged_part_is_named(tmp_path: Path, where: str) -> None:
    write(tmp_path, ["good"] * 30)
    found = write_split(tmp_path, TRACK, str(tmp_path / "lake"), "train")
    folder = part_folder(str(tmp_path / "lake"), TRACK, "sequences", "train")
    part = Path(folder) / found.summary.sequences_parts[0]
    content = bytearray(part.read_bytes())
    if where == "footer":
        content[-40:-8] = bytes(32)
    elif where == "page":
        content[20_000:28_000] = bytes(8_000)
    else:
        del content[-100:]
    part.write_bytes(content)
    info = TRACK.info
    write_manifest(
        tmp_path / "lake",
        Manifest(
            SCHEMA_VERSION, "test", str(TRACK), "3D", info.joints, info.dims, 8, None,
            {"train": found.summary}, [], [], None,
        ),
    )  # fmt: skip
    with pytest.raises(LakeError, match=f"{part.name}: cannot be read .* --force"):
        read_sequences(tmp_path / "lake", TRACK, "train")


def test_a_lake_of_an_older_schema_is_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "lake"
    folder = track_folder(place, TRACK)
    storage.write_bytes(storage.join(folder, "manifest.json"), b'{"schema_version": 1}')
    with pytest.raises(LakeError, match=r"schema version 1, this Poise reads 2; .*--force"):
        read_manifest(place, TRACK)
    said: list[str] = []
    assert ingesting._finished(str(place), RawTrack(TRACK, None, [], []), said.append) is None
    assert "made anew, because" in said[0]


def test_rows_do_not_depend_on_the_order_of_the_raw_file(tmp_path: Path) -> None:
    made = list(sequences("train", Size(2, 3, 20)))
    parts = []
    for name, order in (("a", made), ("b", made[::-1])):
        write_smoothnet(tmp_path / name, KINECT, "train", order)
        result = write_split(tmp_path / name, KINECT, str(tmp_path / f"lake-{name}"), "train")
        parts.append(result.summary.sequences_parts)
    assert parts[0] == parts[1]


def test_a_bad_sequence_is_quarantined(tmp_path: Path) -> None:
    made = list(sequences("train", Size(2, 3, 20)))
    made[1].detected_FC[:] = np.nan
    write_smoothnet(tmp_path, KINECT, "train", made)
    result = write_split(tmp_path, KINECT, str(tmp_path / "lake"), "train")
    assert (result.summary.read, result.summary.sequences, len(result.quarantined)) == (6, 5, 1)
    left_out = result.quarantined[0]
    assert left_out.file.startswith("poses/uiprmd_kinect_3D/detected/")
    assert left_out.key == "joints_3d"
    assert "no joint seen in any of the 20 frames" in left_out.reason


@pytest.mark.parametrize(
    ("subject", "reason"), [("S\ud800", "surrogate"), ("S" * 300, "at most 256 can be held")]
)
def test_a_sequence_of_an_impossible_name_is_quarantined(
    tmp_path: Path, subject: str, reason: str
) -> None:
    made = list(sequences("train", Size(2, 3, 20)))
    made[1] = replace(made[1], name=f"{subject}/walk/001")
    write_smoothnet(tmp_path, KINECT, "train", made)
    result = write_split(tmp_path, KINECT, str(tmp_path / "lake"), "train")
    assert (result.summary.read, result.summary.sequences, len(result.quarantined)) == (6, 5, 1)
    assert reason in result.quarantined[0].reason
    assert result.quarantined[0].key == "imgname"


def test_a_person_is_one_subject_in_both_splits_however_spelt(tmp_path: Path) -> None:
    found = {}
    spellings: dict[Split, str] = {"train": "Zo\u00eb", "test": "Zoe\u0308"}
    for split, spelt in spellings.items():
        made = [
            replace(one, name=f"{spelt}/{one.name}") for one in sequences(split, Size(1, 2, 20))
        ]
        made = [replace(one, name=one.name.replace(f"/{one.subject}/", "/")) for one in made]
        write_smoothnet(tmp_path, KINECT, split, made)
        found[split] = write_split(tmp_path, KINECT, str(tmp_path / "lake"), split).summary
    assert found["train"].subjects == found["test"].subjects == ["Zo\u00eb"]


def test_what_was_not_seen_is_filled_and_the_manifest_says_where(tmp_path: Path) -> None:
    made = list(sequences("train", Size(2, 1, 20)))
    truth = made[1].truth_FC
    assert truth is not None
    made[0].detected_FC[5:8, 39:42] = np.nan
    truth[0:2, 3:6] = np.nan
    write_smoothnet(tmp_path, KINECT, "train", made)
    result = write_split(tmp_path, KINECT, str(tmp_path / "lake"), "train")
    assert result.quarantined == []
    assert [(one.sequence, one.pose, one.gaps) for one in result.filled] == [
        (made[0].name, "detected", [(13, 5, 3)]),
        (made[1].name, "truth", [(1, 0, 2)]),
    ]
    folder = track_folder(str(tmp_path / "lake"), KINECT)
    rows = [
        row
        for part in result.summary.sequences_parts
        for row in read_part(storage.join(folder, "sequences", "split=train", part)).to_pylist()
    ]
    assert len(rows) == 2
    for row in rows:
        assert np.isfinite(row["detected"]).all()
        assert np.isfinite(row["truth"]).all()
