"""Table VIII: what SynSP++ makes of neighbours that are nearer, farther, or of no relevance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poise.analysis.inputs import (
    AnalysisInputs,
    PvdRows,
    clips_with_neighbours,
    detected_windows,
    embed_windows,
)
from poise.analysis.result import AnalysisResult
from poise.evaluation.evaluate import Row, evaluate
from poise.runtime.text.table import text_table
from poise.training_data.examples import Examples
from poise_retrieval.errors import SubjectRuleError

#: Lower bounds on the squared distance, as in the paper.
FLOORS = (0.0, 1.0, 2.0)
#: Queries compared with all rows at once.
_BLOCK = 256


@dataclass(frozen=True)
class NeighbourRow:
    """The errors of the test split, refined with one kind of neighbour.

    Attributes:
        kind: which neighbours.
        distance: mean squared L2 distance of windows and neighbours; None without neighbours.
        missing: how many windows had no such neighbour, and stood in for it themselves.
        row: the errors.
    """

    kind: str
    distance: float | None
    missing: int
    row: Row


def analyse(inputs: AnalysisInputs, floors: Sequence[float], seed: int) -> AnalysisResult:
    """Refine the test split with neighbours of every kind; see `neighbour_rows`."""
    found = neighbour_rows(inputs, floors, seed)
    return AnalysisResult(found, neighbours_table(found))


def neighbour_rows(
    inputs: AnalysisInputs, floors: Sequence[float] = FLOORS, seed: int = 0
) -> list[NeighbourRow]:
    """Refine the test split with neighbours of several kinds, and score each time.

    The kinds are: for each floor, the nearest neighbour that is no nearer than that; a random
    pose; no neighbour at all. Every neighbour is of another subject than its window.

    Args:
        inputs: model and data.
        floors: lower bounds on the squared L2 distance.
        seed: of the random poses.
    """
    windows_NTC, subjects = detected_windows(inputs.test)
    queries_NE = embed_windows(windows_NTC, inputs.track)
    rows = inputs.rows
    places_NR, distances_NR = nearest_beyond(queries_NE, rows, subjects, floors)
    found = []

    def score(kind: str, place_N: Tensor, distance_N: Tensor) -> None:
        ids_N = torch.where(place_N >= 0, rows.ids_N[place_N], -1)
        clips = clips_with_neighbours(inputs.test, windows_NTC, inputs.bank, ids_N, distance_N)
        there_N = place_N >= 0
        mean = float(distance_N[there_N].mean()) if there_N.any() else None
        examples = Examples.of(inputs.test, clips)
        result = evaluate(inputs.refiner, examples, inputs.track, inputs.seed)
        found.append(NeighbourRow(kind, mean, int((~there_N).sum()), result.row))

    for column, floor in enumerate(floors):
        score(f"distance >= {floor:g}", places_NR[:, column], distances_NR[:, column])
    place_N = random_rows(rows, subjects, seed)
    score("irrelevant poses", place_N, _distances(queries_NE, rows, place_N))
    nothing_N = torch.full_like(place_N, -1)
    score("no neighbours", nothing_N, torch.full_like(queries_NE[:, 0], torch.inf))
    return found


def nearest_beyond(
    queries_NE: Tensor, rows: PvdRows, subjects: Sequence[str], floors: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """For each query and each floor, find the nearest row of another subject beyond that floor.

    All rows are compared. Which one is nearest is decided by a matrix product in float32; the
    distances that come back are computed from the vectors themselves.

    Args:
        queries_NE: the queries' embeddings (N, E).
        rows: of the PVD.
        subjects: whose the queries are, N names.
        floors: R lower bounds on the squared L2 distance.

    Returns:
        Places among the rows (N, R), -1 where there is none, and squared distances (N, R),
        infinite there.

    Raises:
        SubjectRuleError: a row that was found is of its query's own subject.
    """
    code = {name: number for number, name in enumerate(dict.fromkeys([*rows.subjects, *subjects]))}
    own_M = torch.tensor([code[name] for name in rows.subjects])
    own_N = torch.tensor([code[name] for name in subjects])
    # Around their mean the vectors are short, and so is what the product rounds off.
    middle_E = rows.vectors_NE.mean(dim=0)
    rows_ME, centred_NE = rows.vectors_NE - middle_E, queries_NE - middle_E
    square_M = rows_ME.square().sum(-1)
    places = []
    for query_BE, own_B in zip(centred_NE.split(_BLOCK), own_N.split(_BLOCK), strict=True):
        gap_BM = torch.addmm(square_M, query_BE, rows_ME.T, alpha=-2)
        gap_BM = (gap_BM + query_BE.square().sum(-1, keepdim=True)).clamp(min=0)
        gap_BM[own_B[:, None] == own_M] = torch.inf
        columns = []
        for floor in floors:
            least_B, place_B = gap_BM.masked_fill(gap_BM < floor, torch.inf).min(dim=1)
            columns.append(torch.where(least_B.isfinite(), place_B, -1))
        places.append(torch.stack(columns, dim=1))
    places_NR = torch.cat(places)
    _check_rule(places_NR, own_N, own_M)
    columns = [_distances(queries_NE, rows, place_N) for place_N in places_NR.unbind(1)]
    return places_NR, torch.stack(columns, dim=1)


def random_rows(rows: PvdRows, subjects: Sequence[str], seed: int) -> Tensor:
    """For each query, draw a row of another subject; places (N,), -1 where there is none."""
    random = np.random.default_rng(seed)
    names_M, names_N = np.array(rows.subjects, dtype=object), np.array(subjects, dtype=object)
    place_N = np.full(len(names_N), -1, np.int64)
    for subject in dict.fromkeys(subjects):
        others = np.flatnonzero(names_M != subject)
        mine = np.flatnonzero(names_N == subject)
        if len(others):
            place_N[mine] = random.choice(others, len(mine))
    return torch.from_numpy(place_N)


def neighbours_table(found: Sequence[NeighbourRow]) -> str:
    """The rows as a text table."""
    unit = found[0].row.unit
    header = ["neighbours", "mean distance", "without", f"MPJPE {unit}", f"Accel {unit}/frame²"]
    body = [
        [
            one.kind,
            "-" if one.distance is None else f"{one.distance:.3f}",
            f"{one.missing:,}",
            f"{one.row.mpjpe:.3f}",
            f"{one.row.accel:.3f}",
        ]
        for one in found
    ]
    return text_table(header, body)


def _distances(queries_NE: Tensor, rows: PvdRows, place_N: Tensor) -> Tensor:
    gap_N = (queries_NE - rows.vectors_NE[place_N]).square().sum(-1)
    return torch.where(place_N >= 0, gap_N, torch.inf)


def _check_rule(places_NR: Tensor, own_N: Tensor, own_M: Tensor) -> None:
    broken = (own_M[places_NR] == own_N[:, None]) & (places_NR >= 0)
    if broken.any():
        raise SubjectRuleError("a window was given a neighbour of its own subject")
