"""Both splits of a track as one, for those who divide its people otherwise.

Shape letters: F frames, N windows, B windows at a time, E numbers of a vector.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.lake.poses import gather_windows
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise.training_data.split import TrackSplit, load_split
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.index.neighbour_index import NeighbourIndex


def everybody(lake: Location, track: Track) -> TrackSplit:
    """Load both splits of a track as one, without neighbours.

    Raises:
        LakeError: a split is not in the lake, or has no ground truth; or the two have a sequence
            of the same name.
    """
    return joined(*(load_split(lake, track, split) for split in SPLITS))


def joined(train: TrackSplit, test: TrackSplit) -> TrackSplit:
    """Put two splits one after the other, without neighbours; the errors are as above."""
    both = set(train.index.names) & set(test.index.names)
    if both:
        raise LakeError(
            f"{train.track}: both splits have a sequence {min(both)}, and as one they cannot: name "
            "the sequences apart, then ingest again"
        )
    whole = TrackSplit.of(
        _index(train.index, test.index),
        torch.cat([train.detected_FC, test.detected_FC]),
        torch.cat([train.truth, test.truth]),
    )
    return replace(
        whole,
        untrue={**train.untrue, **test.untrue},
        unseen={**train.unseen, **test.unseen},
    )


def with_neighbours(split: TrackSplit, bank: TrackSplit) -> TrackSplit:
    """Return a split with neighbours for every window, nearest first, searched in this process.

    They are among the truth windows of the bank, and never of the window's own subject.
    """
    rows, ids_N = bank.index.every_window()
    theirs = np.array(bank.index.subjects, object)[rows]
    database = NeighbourIndex.build(ids_N, _vectors(bank, bank.truths()), theirs)
    own = np.array(split.index.subjects, object)[split.index.every_window()[0]]
    found = database.search(_vectors(split, split.detected()), NEIGHBOURS, own.tolist())
    first_window_S = np.cumsum(split.index.windows_S) - split.index.windows_S
    return replace(split, neighbours=found, first_window_S=first_window_S)


def _vectors(split: TrackSplit, sequences: list[Tensor]) -> NDArray[np.float32]:
    info, representation = split.track.info, split.track.representation
    frames_FC = torch.cat(sequences).numpy()
    windows = gather_windows(frames_FC, split.index.frames_S)
    return np.concatenate(
        [embed(windows_BTC, info.skeleton, representation).numpy() for windows_BTC in windows]
    )


def _index(one: SplitIndex, other: SplitIndex) -> SplitIndex:
    return replace(
        one,
        ids_S=np.concatenate([one.ids_S, other.ids_S]),
        frames_S=np.concatenate([one.frames_S, other.frames_S]),
        names=one.names + other.names,
        subjects=one.subjects + other.subjects,
        cameras=one.cameras + other.cameras,
        actions=one.actions + other.actions,
        takes=one.takes + other.takes,
        groups=(),
    )
