"""The index of a split: every window is found, and only those."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.lake.ids import decode, encode, window_count
from poise.lake.manifest import read_manifest
from poise.lake.poses import POSES, gather_windows, read_poses, read_windows
from poise.lake.schemas import sequence_schema
from poise.lake.split_index import INDEX_COLUMNS, SplitIndex
from poise.runtime.errors import LakeError

Row = tuple[int, int]  # sequence id, frames
ROWS = st.lists(
    st.tuples(st.integers(0, 2**39 - 1), st.integers(1, 30)),
    unique_by=lambda row: row[0],
    max_size=6,
)


def index_of(rows: Sequence[Row], takes: Sequence[str | None] = ()) -> SplitIndex:
    names = [f"sequence {number}" for number in range(len(rows))]
    columns: dict[str, Any] = {
        "sequence_id": pa.array([sequence for sequence, _ in rows], pa.int64()),
        "frames": pa.array([frames for _, frames in rows], pa.int32()),
        "sequence": pa.array(names, pa.string()),
        "subject": pa.array([f"S{number % 2}" for number in range(len(rows))], pa.string()),
        "camera": pa.nulls(len(rows), pa.string()),
        "action": pa.nulls(len(rows), pa.string()),
        "take": pa.array(takes or [None] * len(rows), pa.string()),
    }
    schema = pa.schema([sequence_schema(51).field(name) for name in INDEX_COLUMNS])
    table = pa.table(columns).select(INDEX_COLUMNS).cast(schema)
    return SplitIndex.of_rows(TRACK, "train", [table], width=51, truth=True)


@given(ROWS)
def test_every_window_is_found_and_no_other(rows: list[Row]) -> None:
    index = index_of(rows)
    row_N, id_N = index.every_window()
    assert len(index) == len(rows)
    assert len(id_N) == index.windows == sum(window_count(frames) for _, frames in rows)
    expected = [encode(sequence, at) for sequence, n in rows for at in range(window_count(n))]
    assert id_N.tolist() == expected
    found_N, there_N = index.find(id_N)
    assert there_N.all()
    assert found_N.tolist() == row_N.tolist() == index.rows_of(id_N).tolist()

    known = dict(rows)
    past = [encode(sequence, window_count(frames)) for sequence, frames in rows]
    others = [encode(sequence ^ 1, 0) for sequence in known if sequence ^ 1 not in known]
    strange = np.array([-1, *past, *others], np.int64)
    assert not index.find(strange)[1].any()
    assert not index.find(strange[:, None])[1].any()
    with pytest.raises(LakeError, match=f"window {strange[0]} is not in the lake's train split"):
        index.rows_of(np.concatenate([id_N, strange]))


@given(ROWS.filter(bool), st.data())
def test_a_part_of_an_index_is_of_those_rows(rows: list[Row], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True))
    part = index_of(rows).take(chosen)
    assert list(zip(part.ids_S.tolist(), part.frames_S.tolist(), strict=True)) == [
        rows[row] for row in chosen
    ]
    assert part.names == [f"sequence {row}" for row in chosen]
    sequences = {decode(window)[0] for window in part.every_window()[1].tolist()}
    assert sequences == {rows[row][0] for row in chosen}


def test_what_is_kept_apart_is_the_subject_or_the_take() -> None:
    index = index_of([(2, 9), (4, 9), (6, 9)], ["walk", None, "walk"])
    assert index.kept_apart("subject") == ["S0", "S1", "S0"]
    assert index.kept_apart("take") == ["walk", "sequence 1", "walk"]
    assert index.of_subjects({"S0"}).tolist() == [True, False, True]
    assert index.of_subjects(None).all()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder, subjects=4, per_subject=3, frames=20, group=5)
    return folder


@pytest.mark.parametrize("group", [None, 3])
def test_poses_lie_where_the_index_says(lake: Path, group: int | None) -> None:
    index = SplitIndex.read(lake, read_manifest(lake, TRACK), "train")
    assert [one.rows for one in index.groups] == [slice(0, 5), slice(5, 10), slice(10, 12)]
    whole = read_poses(index, POSES)
    wanted_S = np.ones(len(index), np.bool_) if group is None else np.arange(len(index)) % group > 0
    some = read_poses(index, POSES, wanted_S)
    keep_F = np.repeat(wanted_S, index.frames_S)
    for pose in POSES:
        np.testing.assert_array_equal(some[pose], whole[pose][keep_F])
    windows_NTC = np.concatenate(list(gather_windows(whole["truth"], index.frames_S)))
    _, id_N = index.every_window()
    order = np.random.default_rng(0).permutation(len(id_N))[:30]
    np.testing.assert_array_equal(read_windows(index, id_N[order], "truth"), windows_NTC[order])
