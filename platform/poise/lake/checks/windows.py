"""A split's windows: all windows of its sequences, in order, with neighbours that may be theirs.

Shape letters: S sequences, N windows of a split, B of one row group, K neighbours.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from poise.lake.checks.report import Report
from poise.lake.checks.sequences import Sequences
from poise.lake.ids import Ints, Split, decode, encode, window_count
from poise.lake.manifest import Exclude
from poise.lake.schemas import neighbour_arrays


@dataclass(frozen=True)
class Expected:
    """What the windows of a split must be, by row."""

    ids_S: Ints
    first_S: Ints
    subject_S: Ints
    rows: int

    @classmethod
    def of(cls, found: Sequences, people: "pa.Array[pa.StringScalar]") -> Self:
        """Derive it from the split's sequences; ``people`` numbers the subjects."""
        count_S = window_count(found.frames_S)
        subject_S = _numbers(pa.array(found.subjects, pa.string()), people)
        return cls(found.ids_S, np.cumsum(count_S) - count_S, subject_S, int(count_S.sum()))


@dataclass(frozen=True)
class Bank:
    """The windows a neighbour may be: those of the train split."""

    rule: Exclude
    ids_S: Ints
    windows_S: Ints
    group_S: Ints

    @classmethod
    def of(cls, train: Sequences, rule: Exclude) -> Self:
        """Derive it from the train split's sequences."""
        order_S = np.argsort(train.ids_S)
        names = np.array(train.subjects if rule == "subject" else train.takes, np.str_)
        group_S = np.unique(names, return_inverse=True)[1]
        return cls(
            rule, train.ids_S[order_S], window_count(train.frames_S)[order_S], group_S[order_S]
        )

    def find(self, ids_BK: Ints) -> tuple[NDArray[np.bool_], Ints]:
        """Say which windows there are, and of which subject or take, as the rule has it."""
        if not len(self.ids_S):
            return np.zeros(ids_BK.shape, np.bool_), np.full(ids_BK.shape, -1)
        sequence_BK, start_BK = decode(ids_BK)
        row_BK = np.searchsorted(self.ids_S, sequence_BK).clip(max=len(self.ids_S) - 1)
        there_BK = (self.ids_S[row_BK] == sequence_BK) & (start_BK < self.windows_S[row_BK])
        return there_BK, self.group_S[row_BK]


@dataclass(frozen=True)
class WindowCheck:
    """Checks a split's windows, row group by row group."""

    split: Split
    expected: Expected
    bank: Bank
    people: "pa.Array[pa.StringScalar]"
    advice: str
    report: Report

    def take_in(self, table: pa.Table, row: int, where: str) -> None:
        """Check one row group, whose first row is the split's row number ``row``."""
        id_B = table.column("window_id").to_numpy()
        sequence_B, start_B = (table.column(name).to_numpy() for name in ("sequence_id", "start"))
        wrong_B = id_B != encode(sequence_B, start_B)
        self._flag(
            "window-ids", where, id_B, wrong_B, "window ids that are not sequence_id << 24 | start"
        )
        if self.expected.rows:
            own_B = _numbers(table.column("subject").combine_chunks(), self.people)
            self._order(id_B, sequence_B, start_B, own_B, row, where)
        self._neighbours(table, id_B, where)

    def _order(
        self, id_B: Ints, sequence_B: Ints, start_B: Ints, own_B: Ints, row: int, where: str
    ) -> None:
        row_B = np.arange(row, row + len(id_B))
        at_B = np.searchsorted(self.expected.first_S, row_B, "right") - 1
        mine_B = (row_B < self.expected.rows) & (sequence_B == self.expected.ids_S[at_B])
        wrong_B = ~mine_B | (start_B != row_B - self.expected.first_S[at_B])
        self._flag(
            "window-order", where, id_B, wrong_B,
            "windows that are not those of the sequences, in their order",
        )  # fmt: skip
        self._flag(
            "window-subjects", where, id_B, mine_B & (own_B != self.expected.subject_S[at_B]),
            "windows with another subject than their sequence",
        )  # fmt: skip

    def _neighbours(self, table: pa.Table, id_B: Ints, where: str) -> None:
        ids_BK, distances_BK = neighbour_arrays(table)
        some_BK = ids_BK >= 0
        there_BK, group_BK = self.bank.find(ids_BK)
        lost_B = np.asarray((some_BK & ~there_BK).any(axis=1))
        self._flag(
            "neighbours", where, id_B, lost_B,
            "windows with neighbours that are no windows of the train split",
        )  # fmt: skip
        if self.split == "train":
            mine_B, own_B = self.bank.find(id_B)
            own_BK = some_BK & there_BK & mine_B[:, None] & (group_BK == own_B[:, None])
            self._flag(
                f"{self.bank.rule}-rule", where, id_B, own_BK.any(axis=1),
                f"windows with neighbours of their own {self.bank.rule}: "
                "training would copy the answer",
            )  # fmt: skip
        finite_BK = np.isfinite(distances_BK) & (distances_BK >= 0)
        whole_B = np.asarray((finite_BK == some_BK).all(axis=1))
        rising_B = np.asarray((distances_BK[:, 1:] >= distances_BK[:, :-1]).all(axis=1))
        self._flag(
            "distances", where, id_B, ~(whole_B & rising_B),
            "windows whose distances fall, or are not finite exactly where there is a neighbour",
        )  # fmt: skip

    def _flag(
        self, check: str, where: str, id_B: Ints, bad_B: NDArray[np.bool_], problem: str
    ) -> None:
        count = int(bad_B.sum())
        if count:
            text = f"{count:,} {problem}; first: window {id_B[bad_B.argmax()]}"
            self.report.add("error", check, where, text, self.advice)


def _numbers(names: "pa.Array[pa.StringScalar]", people: "pa.Array[pa.StringScalar]") -> Ints:
    found: Any = pc.index_in(names, value_set=people)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)
