"""Check that the PVD in Milvus is the one that the lake's poses make (``poise pvd verify``).

All ids and subjects are compared, a sample of vectors is made anew, and a sample of training
queries is asked of Milvus and of an exact search over the rows it streams.

Shape letters: N rows, B of one page, S sequences, E numbers of a vector.
"""

import logging
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.lake.checks.report import Report
from poise.lake.ids import Ints
from poise.lake.manifest import Pvd, read_manifest
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise.pvd.checks.sample import ExactSearch, Floats, Sample
from poise.runtime.errors import LakeError
from poise.runtime.storage import Location
from poise_retrieval.errors import CollectionError, SubjectRuleError
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION
from poise_retrieval.milvus.store import PoseStore

log = logging.getLogger(__name__)

#: Windows whose vectors are made anew, where nobody says otherwise.
SAMPLE: Final = 2000
#: Stored and recomputed numbers may differ by this much: the rounding of another machine.
TOLERANCE: Final = 1e-5
#: Below this share of the exact neighbours the search is a finding.
RECALL: Final = 0.95


def verify(
    lake: Location, track: Track, uri: str, *, sample: int = SAMPLE, seed: int = 0
) -> Report:
    """Compare a track's published collection with the lake.

    Args:
        lake: where the track is.
        track: a track with a PVD.
        uri: the Milvus.
        sample: training windows whose vectors are made anew; a part of them is also searched for.
        seed: of the sample.

    Raises:
        LakeError: the track is not in the lake, or has no PVD.
        StoreUnavailableError: Milvus does not answer.
    """
    manifest = read_manifest(lake, track)
    if manifest.pvd is None:
        raise LakeError(
            f"{track} was ingested without a PVD, so there is nothing to verify; "
            f"poise pvd rebuild {lake} {track} makes one"
        )
    report = Report(f"{track}: {manifest.pvd.alias} at {uri}")
    again = f"run poise pvd rebuild {lake} {track}, with the --milvus-uri or --home given here"
    check = _Check(track, manifest.pvd, again, report)
    index = SplitIndex.read(lake, manifest, "train")
    with closing(PoseStore(uri)) as store:
        try:
            if check.collection(store):
                check.rows(store, index, Sample.draw(index, sample, seed))
        except CollectionError as error:
            check.add("collection", str(error))
    return report


@dataclass
class _Rows:
    """What the pass over the stored rows gathers."""

    ids: list[Ints] = field(default_factory=list)
    subject_mismatches: int = 0
    first_mismatch: tuple[int, str, str] | None = None
    not_finite: int = 0
    checked: int = 0
    wrong: int = 0
    largest: float = 0.0
    first_wrong: int | None = None


@dataclass(frozen=True)
class _Check:
    track: Track
    pvd: Pvd
    again: str
    report: Report

    def add(self, check: str, problem: str, advice: str = "") -> None:
        self.report.add("error", check, self.pvd.collection, problem, advice or self.again)

    def collection(self, store: PoseStore) -> bool:
        """Check embedding and alias; say whether there is a collection to look into."""
        if self.pvd.embedding != EMBEDDING_VERSION:
            self.add(
                "embedding",
                f"its vectors are of embedding {self.pvd.embedding}, this Poise asks with "
                f"{EMBEDDING_VERSION}: distances mean nothing",
            )
        target = store.resolve(self.pvd.alias)
        there = self.pvd.collection in store.list()
        if target != self.pvd.collection:
            instead = f"points at {target} instead" if target else "does not exist"
            self.add("alias", f"the alias {self.pvd.alias}, which readers use, {instead}")
        if not there:
            self.add("collection", "there is no such collection")
        elif target == self.pvd.collection:
            self.report.passed.append(f"{self.pvd.alias} points at {target}")
        return there

    def rows(self, store: PoseStore, index: SplitIndex, sample: Sample) -> None:
        """Check every row, then the search."""
        exact, rows = ExactSearch(sample), _Rows()
        ids_N = np.sort(index.every_window()[1])
        subject_S = np.array(index.subjects, np.str_)
        count = store.count(self.pvd.collection)
        if not count == len(ids_N) == self.pvd.rows:
            self.add(
                "count",
                f"{count:,} rows; the manifest says {self.pvd.rows:,}, the train split has "
                f"{len(ids_N):,} windows",
            )
        for ids_B, vectors_BE, subjects in store.rows(self.pvd.collection):
            subject_B = np.array(subjects, np.str_)
            rows.ids.append(ids_B)
            row_B, there_B = index.find(ids_B)
            right_B = np.where(there_B, subject_S[row_B], subject_B)
            _compare_subjects(rows, ids_B, subject_B, right_B)
            _compare_vectors(rows, ids_B, vectors_BE, sample)
            exact.add(vectors_BE, subject_B)
            log.info("%s: %d rows read", self.track, sum(map(len, rows.ids)))
        self._ids(np.concatenate([np.empty(0, np.int64), *rows.ids]), ids_N)
        self._content(rows)
        self._search(store, sample, exact)

    def _ids(self, stored_N: Ints, ids_N: Ints) -> None:
        unique_N = np.unique(stored_N)
        missing = np.setdiff1d(ids_N, unique_N, assume_unique=True)
        extra = np.setdiff1d(unique_N, ids_N, assume_unique=True)
        twice = len(stored_N) - len(unique_N)
        if len(missing):
            self.add(
                "missing", f"{len(missing):,} training windows have no row; first: {missing[0]}"
            )
        if len(extra):
            self.add("extra", f"{len(extra):,} rows are of no training window; first: {extra[0]}")
        if twice:
            self.add("twice", f"{twice:,} rows have an id that another row has too")
        if not (len(missing) or len(extra) or twice):
            self.report.passed.append(
                f"{len(ids_N):,} rows, one for each window of the train split"
            )

    def _content(self, rows: _Rows) -> None:
        if rows.first_mismatch:
            window, stored, right = rows.first_mismatch
            self.add(
                "subjects",
                f"{rows.subject_mismatches:,} rows have another subject than the lake: window "
                f"{window} says {stored}, the lake {right}; training would be given its own poses",
            )
        else:
            self.report.passed.append("every row has the subject the lake says")
        if rows.not_finite:
            self.add("finite", f"{rows.not_finite:,} vectors hold NaN or infinity")
        if rows.wrong:
            self.add(
                "vectors",
                f"{rows.wrong:,} of {rows.checked:,} vectors are not what the lake's poses give, "
                f"by up to {rows.largest:.3g}; first: window {rows.first_wrong}",
            )
        else:
            self.report.passed.append(
                f"{rows.checked:,} vectors made anew are equal, the largest difference is "
                f"{rows.largest:.1e}"
            )

    def _search(self, store: PoseStore, sample: Sample, exact: ExactSearch) -> None:
        try:
            found = store.search(
                self.pvd.collection, sample.queries_QE, NEIGHBOURS, sample.subjects_Q
            )
        except SubjectRuleError as error:
            self.add("subject-rule", str(error))
            return
        recall, asked = exact.recall_of(found.distances_BK), len(sample.queries_QE)
        text = f"recall@{NEIGHBOURS} {recall:.4f} over {asked} training queries, own subject"
        if recall < RECALL:
            self.add("recall", f"{text} left out, is below {RECALL}")
        else:
            self.report.passed.append(f"search: {text} left out")


def _compare_subjects(
    rows: _Rows, ids_B: Ints, subject_B: NDArray[np.str_], right_B: NDArray[np.str_]
) -> None:
    wrong_B = right_B != subject_B
    rows.subject_mismatches += int(wrong_B.sum())
    if wrong_B.any() and rows.first_mismatch is None:
        at = int(wrong_B.argmax())
        rows.first_mismatch = (int(ids_B[at]), str(subject_B[at]), str(right_B[at]))


def _compare_vectors(rows: _Rows, ids_B: Ints, vectors_BE: Floats, sample: Sample) -> None:
    rows.not_finite += int((~np.isfinite(vectors_BE).all(1)).sum())
    place_B = np.searchsorted(sample.ids_N, ids_B).clip(max=len(sample.ids_N) - 1)
    mine_B = sample.ids_N[place_B] == ids_B
    gap_B = np.abs(vectors_BE[mine_B] - sample.vectors_NE[place_B[mine_B]]).max(1, initial=0.0)
    gap_B = np.where(np.isnan(gap_B), np.inf, gap_B)
    wrong_B = gap_B > TOLERANCE
    rows.checked += len(gap_B)
    rows.wrong += int(wrong_B.sum())
    rows.largest = max(rows.largest, float(gap_B.max(initial=0.0)))
    if wrong_B.any() and rows.first_wrong is None:
        rows.first_wrong = int(ids_B[mine_B][wrong_B.argmax()])
