"""What the tests of an ingest share: raw files of a few people, and a look at the rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.lake.poses import Pose, gather_windows, pose_frames
from poise.lake.windows import neighbours_of
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise_retrieval.geometry.embedding import embed

TRACK = Track.parse("uiprmd/kinect/3D")
SIZES = {"train": Size(3, 2, 24), "test": Size(1, 2, 24)}


def people(split: str) -> list[PoseSequence]:
    """Three for training and one to test with, two takes each; the first take is a short one."""
    made = list(sequences(split, SIZES[split]))
    short = made[0]
    made[0] = PoseSequence(
        **{
            **vars(short),
            "detected_FC": short.detected_FC[:5],
            "truth_FC": None if short.truth_FC is None else short.truth_FC[:5],
        }
    )
    return made


class Lines(list[str]):
    """A report that remembers."""

    def said(self, text: str) -> bool:
        return any(text in line for line in self)


def tables(folder: Path, track: Track = TRACK) -> dict[str, pa.Table]:
    """Return all rows of a track."""
    return {
        f"{read.__name__} {split}": read(folder, track, split)
        for read in (read_sequences, read_windows)
        for split in SPLITS
    }


def neighbour_arrays(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the neighbours of windows, and how far they are."""
    found = neighbours_of(table)
    return found.ids_BK, found.distances_BK


def files(folder: Path) -> dict[str, int]:
    """Return when each part in a folder was written."""
    found = sorted(folder.rglob("part-*.parquet"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def check_neighbours(folder: Path, apart: str = "subject") -> None:
    """Compare the neighbours in the lake with brute force over its frames."""
    bank = _vectors_of(folder, "train", "truth")
    train = read_windows(folder, TRACK, "train")
    ids, groups = (train.column(name).to_numpy() for name in ("window_id", apart))
    for split in SPLITS:
        asked = read_windows(folder, TRACK, split)
        gaps = _vectors_of(folder, split, "detected")[:, None] - bank[None]
        squared = np.square(gaps).sum(-1)
        if split == "train":
            squared[asked.column(apart).to_numpy()[:, None] == groups[None]] = np.inf
        found, distances = neighbour_arrays(asked)
        np.testing.assert_allclose(distances, np.sort(squared, 1)[:, :3], rtol=1e-4, atol=1e-5)
        place = {window: index for index, window in enumerate(ids.tolist())}
        columns = np.vectorize(place.__getitem__)(found)
        there = np.take_along_axis(squared, columns, 1)
        np.testing.assert_allclose(there, distances, rtol=1e-4, atol=1e-5)


def _vectors_of(folder: Path, split: Split, pose: Pose) -> np.ndarray:
    """Return the vectors of a split's windows."""
    table = read_sequences(folder, TRACK, split)
    frames = pose_frames(table, pose)
    assert frames is not None
    lengths = table.column("frames").to_numpy().astype(np.int64)
    vectors = [embed(some, "h36m17", "3D").numpy() for some in gather_windows(frames, lengths)]
    return np.concatenate(vectors)
