"""The vectors of a train split: those of its windows, in their order, and finite."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poise.lake.checks.report import Report
from poise.lake.ids import encode
from poise.lake.split_index import Bools, SplitIndex


class VectorCheck:
    """Checks vectors, row group by row group, against the windows that they are of."""

    def __init__(self, train: SplitIndex, advice: str, report: Report) -> None:
        """Take the split, what to do about a finding, and where findings go."""
        self.train, self.advice, self.report = train, advice, report
        self.rows = 0

    def check(self, table: pa.Table, where: str) -> None:
        """Check one row group, which follows those checked before."""
        id_B = table.column("window_id").to_numpy()
        row_B, start_B = self.train.places(np.arange(self.rows, self.rows + len(id_B)))
        self.rows += len(id_B)
        if self.rows > self.train.windows:
            return  # the count says it
        subject_B = table.column("subject").combine_chunks()
        right_B = pa.array(self.train.subjects, pa.string()).take(pa.array(row_B, pa.int64()))
        wrong_B = (id_B != encode(self.train.ids_S[row_B], start_B)) | np.asarray(
            pc.not_equal(subject_B, right_B)
        )
        problem = "vectors that are not of the windows in their order, or of another subject"
        self._flag("vector-ids", where, wrong_B, problem)
        column: Any = table.column("vector").combine_chunks()
        vectors = column.flatten().to_numpy()
        finite_B = np.isfinite(vectors.reshape(len(id_B), -1)).all(1)
        self._flag("vectors", where, ~finite_B, "vectors that are not finite")

    def _flag(self, check: str, where: str, bad_B: Bools, problem: str) -> None:
        count = int(bad_B.sum())
        if count:
            text = f"{count:,} {problem}; first: row {bad_B.argmax()}"
            self.report.add("error", check, where, text, self.advice)
