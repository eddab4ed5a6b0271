"""What the neighbour tables of a lake say: distances, and how often the action is the same.

Shape letters: S sequences, N windows of a split, K neighbours, A actions, P people.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.splits import Split
from poise.lake.ids import decode
from poise.lake.manifest import Manifest
from poise.lake.poses import POSES, read_windows
from poise.lake.split_index import SplitIndex
from poise.lake.windows import read_neighbours
from poise.runtime.storage import Location
from poise.runtime.text.table import text_table
from poise_retrieval.geometry.embedding import embed
from poise_retrieval.neighbours import Neighbours

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

Names = NDArray[np.str_]


@dataclass(frozen=True)
class NeighbourTable:
    """The windows of a split and their neighbours, N of them in lake order.

    Attributes:
        index: of the split.
        neighbours: of each window.
        action_S: what each sequence shows; empty where the data set does not tell.
    """

    index: SplitIndex
    neighbours: Neighbours
    action_S: Names

    @classmethod
    def read(
        cls,
        lake: Location,
        manifest: Manifest,
        split: Split,
        pattern: re.Pattern[str] | None = None,
    ) -> Self:
        """Read it from the lake.

        Args:
            lake: where the track is.
            manifest: the track's.
            split: one that it has.
            pattern: an action is what this finds in its name; the whole name, where it finds
                nothing.

        Raises:
            LakeError: the track has no PVD, or the split is not there.
        """
        index = SplitIndex.read(lake, manifest, split)
        names = [_action(name or "", pattern) for name in index.actions]
        return cls(index, read_neighbours(lake, manifest, index), np.array(names, np.str_))


@dataclass(frozen=True)
class RankStats:
    """Neighbours of one rank, over the windows of a split that have one.

    Attributes:
        quantiles: of the squared distance, at `QUANTILES`.
        same_action: share of neighbours of the query's own action, among the queries whose action
            a person of the train split (another one, in training) does too; None where there is no
            such query.
        by_chance: the same share if neighbours were drawn at random from all permitted windows.
        same_sequence: share of neighbours from the sequence that the nearest is from.
    """

    split: Split
    rank: int
    windows: int
    quantiles: tuple[float, ...]
    mean: float
    comparable: int
    same_action: float | None
    by_chance: float | None
    same_sequence: float


def rank_stats(own: NeighbourTable, train: NeighbourTable, others_only: bool) -> list[RankStats]:
    """Describe the neighbours of a split, rank by rank.

    Args:
        own: the split's windows and neighbours.
        train: the train split's.
        others_only: whether neighbours are of other subjects, as in training.
    """
    ids_NK, distances_NK = own.neighbours.ids_BK, own.neighbours.distances_BK
    row_N, _ = own.index.every_window()
    actions = np.unique([*own.action_S, *train.action_S])
    own_S, train_S = (np.searchsorted(actions, one.action_S) for one in (own, train))
    chance_S = _chance(own, train, others_only)
    found = []
    for rank in range(ids_NK.shape[1]):
        there_N = ids_NK[:, rank] >= 0
        if not there_N.any():
            continue
        distances = distances_NK[there_N, rank]
        row, (hit, _) = row_N[there_N], train.index.find(ids_NK[there_N, rank])
        first, _ = decode(ids_NK[there_N, 0])
        together = decode(ids_NK[there_N, rank])[0] == first
        comparable = chance_S[row] > 0
        same = (own_S[row] == train_S[hit])[comparable]
        found.append(
            RankStats(
                own.index.split,
                rank + 1,
                len(distances),
                tuple(float(value) for value in np.quantile(distances, QUANTILES)),
                float(distances.mean()),
                int(comparable.sum()),
                float(same.mean()) if len(same) else None,
                float(chance_S[row][comparable].mean()) if len(same) else None,
                float(together.mean()),
            )
        )
    return found


def distance_to_own_truth(index: SplitIndex, count: int, seed: int) -> float:
    """Return the median squared distance of ``count`` detected windows to their own truth.

    What is farther than its own truth says little by its distance: that much the detector's errors
    do alone.
    """
    _, ids_N = index.every_window()
    track, rng = index.track, np.random.default_rng(seed)
    some_B = rng.choice(ids_N, min(count, len(ids_N)), replace=False)
    detected_BE, truth_BE = (
        embed(read_windows(index, some_B, pose), track.info.skeleton, track.representation)
        for pose in POSES
    )
    return float((detected_BE - truth_BE).square().sum(1).median())


def in_words(stats: list[RankStats]) -> str:
    """Return the statistics as a table of aligned text."""
    quantiles = [f"{q:.0%}" for q in QUANTILES]
    how_often = ["same action", "by chance", "nearest's sequence"]
    header = ["split", "rank", "windows", *quantiles, "mean", *how_often]
    rows = []
    for one in stats:
        known = (one.same_action, one.by_chance, one.same_sequence)
        shares = ["-" if share is None else f"{share:.1%}" for share in known]
        numbers = [f"{value:.4f}" for value in (*one.quantiles, one.mean)]
        rows.append([one.split, str(one.rank), f"{one.windows:,}", *numbers, *shares])
    return text_table(header, rows, left=())


def _action(name: str, pattern: re.Pattern[str] | None) -> str:
    found = pattern and pattern.search(name)
    return found[0] if found else name


def _chance(own: NeighbourTable, train: NeighbourTable, leave_out_own: bool) -> NDArray[np.float64]:
    """Share of the windows each sequence may find that are of its own action, (S,)."""
    people, person_S = np.unique(np.array(train.index.subjects, np.str_), return_inverse=True)
    actions, action_S = np.unique(train.action_S, return_inverse=True)
    windows_PA = np.zeros((len(people), len(actions)), np.int64)
    np.add.at(windows_PA, (person_S, action_S), train.index.windows_S)
    mine_S = np.searchsorted(actions, own.action_S).clip(max=len(actions) - 1)
    known_S = (actions[mine_S] == own.action_S) & (own.action_S != "")
    same_S, all_S = windows_PA.sum(0)[mine_S], np.full(len(mine_S), windows_PA.sum())
    if leave_out_own:
        same_S = same_S - windows_PA[person_S, mine_S]
        all_S = all_S - windows_PA.sum(1)[person_S]
    share_S: NDArray[np.float64] = np.where(known_S & (all_S > 0), same_S / all_S.clip(1), 0.0)
    return share_S
