"""The lake in the tools of others: DuckDB, Polars and pandas read what Poise wrote."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.training_data.split import TrackSplit, load_split

FRAMES = 40


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder, subjects=2, per_subject=2, frames=FRAMES)
    return folder


@pytest.fixture(scope="module")
def train(lake: Path) -> TrackSplit:
    return load_split(lake, TRACK, "train")


def parts(lake: Path, kind: str) -> str:
    return str(lake / "uiprmd" / "kinect-3D" / kind / "split=train" / "*.parquet")


def of(train: TrackSplit, name: str) -> np.ndarray[Any, Any]:
    return train.detected()[train.index.names.index(name)].numpy()


def test_duckdb(lake: Path, train: TrackSplit) -> None:
    base = lake / "uiprmd" / "kinect-3D"
    rows = duckdb.execute(
        "SELECT sequence, detected, split FROM read_parquet(?) WHERE split = 'train'",
        [f"{base}/sequences/*/*.parquet"],
    ).fetchall()
    assert sorted(row[0] for row in rows) == sorted(train.index.names)
    for name, detected, _ in rows:
        np.testing.assert_array_equal(np.array(detected, np.float32), of(train, name))
    [(joined, nearest)] = duckdb.execute(
        "SELECT count(*), min(neighbour_distances[1]) FROM read_parquet(?) w "
        "JOIN read_parquet(?) s USING (sequence_id) WHERE s.subject = w.subject",
        [parts(lake, "windows"), parts(lake, "sequences")],
    ).fetchall()
    assert train.neighbours is not None
    assert joined == len(train.neighbours.distances_BK) == 4 * (FRAMES - 7)
    assert nearest == train.neighbours.distances_BK[:, 0].min()


def test_polars(lake: Path, train: TrackSplit) -> None:
    frame = pl.scan_parquet(parts(lake, "sequences")).select("sequence", "detected").collect()
    for name, detected in frame.iter_rows():
        np.testing.assert_array_equal(np.array(detected, np.float32), of(train, name))
    windows = pl.read_parquet(parts(lake, "windows"))
    assert windows.schema["neighbour_ids"] == pl.Array(pl.Int64, 3)
    assert train.neighbours is not None
    np.testing.assert_array_equal(windows["neighbour_ids"].to_numpy(), train.neighbours.ids_BK)


def test_pandas(lake: Path, train: TrackSplit) -> None:
    frame = pd.read_parquet(Path(parts(lake, "sequences")).parent)
    assert frame["sequence"].tolist() == train.index.names
    assert frame["frames"].tolist() == train.index.frames_S.tolist()
    for name, detected in zip(frame["sequence"], frame["detected"], strict=True):
        np.testing.assert_array_equal(np.stack(list(detected)), of(train, name))
    assert len(pd.read_parquet(Path(parts(lake, "windows")).parent)) == 4 * (FRAMES - 7)
