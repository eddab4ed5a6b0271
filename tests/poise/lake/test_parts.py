"""Parts of the lake: rows that survive the file, and names made of the content."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
from numpy.typing import NDArray
from tests.support.lake_rows import write_rows

from poise.lake.parts import read_part
from poise.lake.poses import POSES, pose_frames
from poise.lake.schemas import sequence_schema, sequence_table
from poise.readers.sequence import PoseSequence


def a_sequence(name: str, frames: int, truth: bool = True, width: int = 51) -> PoseSequence:
    rng = np.random.default_rng(abs(hash((name, frames))) % 2**32)
    detected = rng.normal(size=(frames, width)).astype(np.float32)
    return PoseSequence(name, "S1", None, "squat", 30.0, detected, detected + 1 if truth else None)


def test_poses_survive_the_table_and_the_file(tmp_path: Path) -> None:
    given_ = [a_sequence("a", 3), a_sequence("b", 20), a_sequence("c", 8)]
    table = sequence_table([1, 2, 3], given_)
    name = write_rows(str(tmp_path), table)
    back = read_part(str(tmp_path / name))
    assert back.equals(table)
    assert back.schema.equals(sequence_schema(51))
    for pose in POSES:
        poses = [getattr(sequence, f"{pose}_FC") for sequence in given_]
        np.testing.assert_array_equal(pose_frames(back, pose), np.concatenate(poses))


def test_missing_truth_is_null(tmp_path: Path) -> None:
    table = sequence_table([1, 2], [a_sequence("a", 3), a_sequence("b", 4, truth=False)])
    back = read_part(str(tmp_path / write_rows(str(tmp_path), table)))
    assert back.column("truth").is_null().to_pylist() == [False, True]
    assert pose_frames(back, "truth") is None
    detected = pose_frames(back, "detected")
    assert detected is not None
    assert detected.shape == (7, 51)


def test_other_readers_can_read_a_part(tmp_path: Path) -> None:
    sequence = a_sequence("a", 3)
    name = write_rows(str(tmp_path), sequence_table([7], [sequence]))
    frame = pd.read_parquet(tmp_path / name)
    assert frame.loc[0, "sequence_id"] == 7
    poses: list[NDArray[np.float32]] = list(frame["detected"].iloc[0])
    np.testing.assert_array_equal(np.stack(poses), sequence.detected_FC)
    assert pyarrow.dataset.dataset(tmp_path, format="parquet").count_rows() == 1


def test_parts_are_named_by_their_content(tmp_path: Path) -> None:
    one, other = (sequence_table([7], [a_sequence(name, 3)]) for name in "ab")
    first = write_rows(str(tmp_path), one)
    assert write_rows(str(tmp_path), one) == first
    assert write_rows(str(tmp_path), other) != first
    assert first.startswith("part-00000-")
