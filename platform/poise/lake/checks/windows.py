"""A split's windows: all windows of its sequences, in order, with neighbours that may be theirs.

Shape letters: S sequences, B windows of one row group, K neighbours.
"""

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from poise.lake.checks.report import Report
from poise.lake.ids import Ints, encode
from poise.lake.manifest import Exclude
from poise.lake.split_index import Bools, SplitIndex
from poise.lake.windows import neighbours_of


class WindowCheck:
    """Checks a split's windows, row group by row group, against what its sequences say."""

    def __init__(
        self, own: SplitIndex, train: SplitIndex, rule: Exclude, advice: str, report: Report
    ) -> None:
        """Take what the windows must fit; `check` then checks them.

        Args:
            own: the split's sequences.
            train: those of the train split, whose windows are the neighbours.
            rule: what a training window's neighbours must not share with it.
            advice: what to do about a finding.
            report: receives the findings.
        """
        self.own, self.train, self.rule = own, train, rule
        self.advice, self.report = advice, report
        self.rows = 0

    def check(self, table: pa.Table, where: str) -> None:
        """Check one row group, which follows those checked before."""
        id_B = table.column("window_id").to_numpy()
        sequence_B, start_B = (table.column(name).to_numpy() for name in ("sequence_id", "start"))
        wrong_B = id_B != encode(sequence_B, start_B)
        problem = "window ids that are not sequence_id << 24 | start"
        self._flag("window-ids", where, id_B, wrong_B, problem)
        if self.own.windows:
            self._order(table, where)
        self._neighbours(table, where)
        self.rows += table.num_rows

    def _order(self, table: pa.Table, where: str) -> None:
        id_B, sequence_B, start_B = (
            table.column(name).to_numpy() for name in ("window_id", "sequence_id", "start")
        )
        first_S = np.cumsum(self.own.windows_S) - self.own.windows_S
        number_B = np.arange(self.rows, self.rows + len(id_B))
        row_B = np.searchsorted(first_S, number_B, "right") - 1
        mine_B = (number_B < self.own.windows) & (sequence_B == self.own.ids_S[row_B])
        wrong_B = ~mine_B | (start_B != number_B - first_S[row_B])
        problem = "windows that are not those of the sequences, in their order"
        self._flag("window-order", where, id_B, wrong_B, problem)
        subject_B = table.column("subject").combine_chunks()
        right_B = pa.array(self.own.subjects, pa.string()).take(pa.array(row_B, pa.int64()))
        other_B = np.asarray(pc.not_equal(subject_B, right_B))
        problem = "windows with another subject than their sequence"
        self._flag("window-subjects", where, id_B, np.logical_and(mine_B, other_B), problem)

    def _neighbours(self, table: pa.Table, where: str) -> None:
        id_B = table.column("window_id").to_numpy()
        found = neighbours_of(table)
        some_BK = found.ids_BK >= 0
        row_BK, there_BK = self.train.find(found.ids_BK)
        lost_BK = some_BK & ~there_BK
        problem = "windows with neighbours that are no windows of the train split"
        self._flag("neighbours", where, id_B, np.asarray(lost_BK.any(axis=1)), problem)
        if self.own.split == "train" and len(self.train):
            row_B, mine_B = self.train.find(id_B)
            same_BK = self._apart_S[row_BK] == self._apart_S[row_B][:, None]
            own_BK = some_BK & there_BK & mine_B[:, None] & same_BK
            problem = (
                f"windows with neighbours of their own {self.rule}: training would copy the answer"
            )
            self._flag(f"{self.rule}-rule", where, id_B, own_BK.any(axis=1), problem)
        finite_BK = np.isfinite(found.distances_BK) & (found.distances_BK >= 0)
        whole_B = (finite_BK == some_BK).all(axis=1)
        rising_B = (found.distances_BK[:, 1:] >= found.distances_BK[:, :-1]).all(axis=1)
        problem = (
            "windows whose distances fall, or are not finite exactly where there is a neighbour"
        )
        self._flag("distances", where, id_B, ~(whole_B & rising_B), problem)

    @cached_property
    def _apart_S(self) -> NDArray[np.int64]:
        """Subject or take of each training sequence, as a number."""
        names = np.array(self.train.kept_apart(self.rule), np.str_)
        return np.unique(names, return_inverse=True)[1]

    def _flag(self, check: str, where: str, id_B: Ints, bad_B: Bools, problem: str) -> None:
        count = int(bad_B.sum())
        if count:
            text = f"{count:,} {problem}; first: window {id_B[bad_B.argmax()]}"
            self.report.add("error", check, where, text, self.advice)
