"""Neighbours beyond a distance, random ones, and what they are worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.support.tiny_lake import TRACK

from poise.analysis.inputs import AnalysisInputs, PvdRows
from poise.analysis.neighbour_distance import (
    nearest_beyond,
    neighbour_rows,
    neighbours_table,
    random_rows,
)
from poise.evaluation.evaluate import evaluate
from poise.training_data.examples import Examples


def brute_force(
    queries: torch.Tensor, rows: PvdRows, subjects: list[str], floor: float
) -> tuple[np.ndarray, np.ndarray]:
    gap = ((queries.double()[:, None] - rows.vectors_NE.double()) ** 2).sum(-1).numpy()
    own = np.array(subjects)[:, None] == np.array(rows.subjects)[None]
    gap[own | (gap < floor)] = np.inf
    place = gap.argmin(1)
    least = gap.min(1)
    return np.where(np.isfinite(least), place, -1), least


def test_the_range_search_is_brute_force() -> None:
    random = torch.Generator().manual_seed(0)
    vectors, queries = (
        torch.randn(700, 12, generator=random),
        torch.randn(300, 12, generator=random),
    )
    rows = PvdRows(torch.arange(700) + 1000, vectors + 5, [f"s{n % 7}" for n in range(700)])
    queries = queries + 5
    subjects = [f"s{n % 9}" for n in range(300)]
    floors = (0.0, 6.0, 20.0, 1e9)
    places, distances = nearest_beyond(queries, rows, subjects, floors)
    for column, floor in enumerate(floors):
        place, least = brute_force(queries, rows, subjects, floor)
        assert np.array_equal(places[:, column].numpy(), place)
        assert np.allclose(distances[:, column].numpy(), least, rtol=1e-4)
    assert (places[:, -1] == -1).all()
    assert distances[:, -1].isinf().all()


def test_the_subject_rule_holds_for_copies_and_for_random_poses() -> None:
    vectors = torch.randn(60, 5)
    names = [f"s{n // 20}" for n in range(60)]
    rows = PvdRows(torch.arange(60), vectors, names)
    places, distances = nearest_beyond(vectors, rows, names, (0.0,))
    assert all(
        names[place] != name for place, name in zip(places[:, 0].tolist(), names, strict=True)
    )
    assert (distances > 0).all()
    drawn = random_rows(rows, names, seed=0)
    assert all(names[place] != name for place, name in zip(drawn.tolist(), names, strict=True))
    assert not torch.equal(drawn, random_rows(rows, names, seed=1))
    alone = PvdRows(rows.ids_N, vectors, ["one"] * 60)
    assert (random_rows(alone, ["one"] * 3, seed=0) == -1).all()


def test_a_row_for_each_kind_of_neighbour(inputs: AnalysisInputs) -> None:
    found = neighbour_rows(inputs, (0.0, 0.3, 1e6))
    nearest, farther, beyond, drawn, nothing = found
    assert nearest.distance is not None
    assert farther.distance is not None
    assert nearest.distance < farther.distance
    assert farther.distance >= 0.3
    windows = len(inputs.test.index.names) * (40 - 7)
    assert (nearest.missing, beyond.missing, nothing.missing) == (0, windows, windows)
    assert beyond.row.mpjpe == pytest.approx(nothing.row.mpjpe)
    assert nothing.distance is None
    assert drawn.distance is not None
    test = inputs.test
    alone = evaluate(inputs.refiner, Examples.of(test, test.clips(None)), TRACK, 0)
    assert nothing.row.mpjpe == pytest.approx(alone.row.mpjpe)
    assert "distance >= 0.3" in neighbours_table(found)


def test_filled_truth_is_not_scored(inputs: AnalysisInputs) -> None:
    first = inputs.test.index.names[0]
    test = replace(inputs.test, untrue={first: [(joint, 0, 40) for joint in range(17)]})
    rows = [one.row for one in neighbour_rows(replace(inputs, test=test), (0.0,))]
    assert {row.frames for row in rows} == {int(test.index.frames_S[1:].sum())}
