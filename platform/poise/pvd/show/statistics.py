"""What the neighbour tables of a lake say: distances, and how often the action is the same.

Shape letters: S sequences, N windows of a split, K neighbours, A actions, P people.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.lake.ids import Ints, Split, decode, window_count
from poise.lake.manifest import Manifest
from poise.lake.parts import read_part
from poise.lake.schemas import neighbour_arrays, part_paths
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Cast:
    """Who does what in the sequences of a split, in order of sequence id.

    Attributes:
        action_S: empty where the data set does not tell.
    """

    ids_S: Ints
    subject_S: Names
    action_S: Names
    windows_S: Ints

    @classmethod
    def read(
        cls,
        lake: Location,
        manifest: Manifest,
        split: Split,
        pattern: re.Pattern[str] | None = None,
    ) -> Self:
        """Read it from the sequences, without their poses.

        Where there is a pattern, an action is what it finds in the name; the whole name, where it
        finds nothing.
        """
        columns = ["sequence_id", "subject", "action", "frames"]
        paths = part_paths(lake, manifest, "sequences", split)
        if not paths:
            raise LakeError(f"{manifest.track}: the lake has no {split} sequences")
        table = pa.concat_tables([read_part(path, columns) for path in paths])
        table = table.sort_by("sequence_id")
        texts: list[Any] = table["action"].to_pylist()
        frames_S = table["frames"].to_numpy().astype(np.int64)
        return cls(
            table["sequence_id"].to_numpy(),
            np.array(table["subject"].to_pylist(), np.str_),
            np.array([_action(text or "", pattern) for text in texts], np.str_),
            window_count(frames_S),
        )

    def rows(self, window_ids: Ints) -> NDArray[np.intp]:
        """Return the rows of the sequences that windows are of, in the shape of the ids."""
        row = np.searchsorted(self.ids_S, decode(window_ids)[0])
        return row.clip(max=len(self.ids_S) - 1)


@dataclass(frozen=True)
class Table:
    """The neighbour table of a split."""

    split: Split
    ids_N: Ints
    neighbour_ids_NK: Ints
    distances_NK: NDArray[np.float32]

    @classmethod
    def read(cls, lake: Location, manifest: Manifest, split: Split) -> Self:
        """Read ids, neighbours and distances.

        Raises:
            LakeError: the track has no PVD, or no windows in this split.
        """
        if manifest.pvd is None:
            raise LakeError(
                f"{manifest.track} was ingested without a PVD, so its windows have no neighbours; "
                f"poise pvd rebuild {lake} {manifest.track} adds them"
            )
        columns = ["window_id", "neighbour_ids", "neighbour_distances"]
        paths = part_paths(lake, manifest, "windows", split)
        if not paths:
            raise LakeError(f"{manifest.track}: the lake has no {split} windows")
        table = pa.concat_tables([read_part(path, columns) for path in paths])
        ids_NK, distances_NK = neighbour_arrays(table)
        return cls(split, table["window_id"].to_numpy(), ids_NK, distances_NK)


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


def rank_stats(table: Table, own: Cast, train: Cast, others_only: bool) -> list[RankStats]:
    """Describe the neighbours of a split, rank by rank.

    Args:
        table: the split's neighbours.
        own: the split's sequences.
        train: the train split's.
        others_only: whether neighbours are of other subjects, as in training.
    """
    row_N = own.rows(table.ids_N)
    actions = np.unique([*own.action_S, *train.action_S])
    own_S, train_S = (np.searchsorted(actions, cast.action_S) for cast in (own, train))
    chance_S = _chance(own, train, others_only)
    found = []
    for rank in range(table.distances_NK.shape[1]):
        there_N = table.neighbour_ids_NK[:, rank] >= 0
        if not there_N.any():
            continue
        distances = table.distances_NK[there_N, rank]
        row, hit = row_N[there_N], train.rows(table.neighbour_ids_NK[there_N, rank])
        first, _ = decode(table.neighbour_ids_NK[there_N, 0])
        together = decode(table.neighbour_ids_NK[there_N, rank])[0] == first
        comparable = chance_S[row] > 0
        same = (own_S[row] == train_S[hit])[comparable]
        found.append(
            RankStats(
                table.split,
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


def in_words(stats: list[RankStats]) -> str:
    """Return the statistics as a table of aligned text."""
    header = ["split", "rank", "windows", *(f"{q:.0%}" for q in QUANTILES), "mean",
        "same action", "by chance", "nearest's sequence"]  # fmt: skip
    rows = [header]
    for one in stats:
        known = (one.same_action, one.by_chance, one.same_sequence)
        shares = ["-" if share is None else f"{share:.1%}" for share in known]
        numbers = [f"{value:.4f}" for value in (*one.quantiles, one.mean)]
        rows.append([one.split, str(one.rank), f"{one.windows:,}", *numbers, *shares])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _action(name: str, pattern: re.Pattern[str] | None) -> str:
    found = pattern and pattern.search(name)
    return found[0] if found else name


def _chance(own: Cast, train: Cast, leave_out_own: bool) -> NDArray[np.float64]:
    """Share of the windows each sequence may find that are of its own action, (S,)."""
    people, person_S = np.unique(train.subject_S, return_inverse=True)
    actions, action_S = np.unique(train.action_S, return_inverse=True)
    windows_PA = np.zeros((len(people), len(actions)), np.int64)
    np.add.at(windows_PA, (person_S, action_S), train.windows_S)
    mine_S = np.searchsorted(actions, own.action_S).clip(max=len(actions) - 1)
    known_S = (actions[mine_S] == own.action_S) & (own.action_S != "")
    same_S, all_S = windows_PA.sum(0)[mine_S], np.full(len(mine_S), windows_PA.sum())
    if leave_out_own:
        same_S = same_S - windows_PA[person_S, mine_S]
        all_S = all_S - windows_PA.sum(1)[person_S]
    share_S: NDArray[np.float64] = np.where(known_S & (all_S > 0), same_S / all_S.clip(1), 0.0)
    return share_S
