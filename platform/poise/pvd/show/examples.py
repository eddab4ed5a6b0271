"""Some windows of the lake with their neighbours, to be looked at.

Shape letters: Q queries, K neighbours, T frames of a window, J joints, D dims, C = J * D.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import Ints
from poise.lake.poses import read_windows
from poise.pvd.show.statistics import NeighbourTable
from poise_retrieval.geometry.framing import bring_into_frame

Poses = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """A window, who it is of, and how far it is from the query (0 for the query itself)."""

    subject: str
    action: str
    distance: float
    poses_TJD: Poses


@dataclass(frozen=True)
class Example:
    """A detected window and its neighbours' truth, nearest first, in the query's frame."""

    query: Shown
    neighbours: list[Shown]


def examples(own: NeighbourTable, train: NeighbourTable, count: int, seed: int) -> list[Example]:
    """Draw windows of different actions, and read their poses and their neighbours'.

    Args:
        own: the windows and neighbours to draw from, of a 2D or 3D track.
        train: those of the train split.
        count: how many; fewer where fewer windows have a neighbour.
        seed: of the draw.
    """
    track = own.index.track
    dims = track.info.dims
    row_N, ids_N = own.index.every_window()
    chosen_Q = _spread(own, row_N, count, seed)
    query_QTC = read_windows(own.index, ids_N[chosen_Q], "detected")
    ids_QK = own.neighbours.ids_BK[chosen_Q]
    there_QK = ids_QK >= 0
    truth_BTC = read_windows(train.index, ids_QK[there_QK], "truth")
    asked_BTC = query_QTC[np.nonzero(there_QK)[0]]
    moved = iter(bring_into_frame(truth_BTC, asked_BTC, track.representation).numpy())
    found = []
    for place, query_TC in zip(chosen_Q, query_QTC, strict=True):
        query = _shown(own, int(row_N[place]), 0.0, _joints(query_TC, dims))
        hits, there = train.index.find(own.neighbours.ids_BK[place])
        distances = own.neighbours.distances_BK[place][there]
        neighbours = [
            _shown(train, int(hit), float(distance), _joints(next(moved), dims))
            for hit, distance in zip(hits[there], distances, strict=True)
        ]
        found.append(Example(query, neighbours))
    return found


def _shown(table: NeighbourTable, row: int, distance: float, poses_TJD: Poses) -> Shown:
    return Shown(table.index.subjects[row], str(table.action_S[row]), distance, poses_TJD)


def _spread(own: NeighbourTable, row_N: Ints, count: int, seed: int) -> Ints:
    """Draw windows at random, each action once before any comes twice; in order of action."""
    some = np.flatnonzero(own.neighbours.ids_BK[:, 0] >= 0)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(some)[: 1000 * count]
    action = own.action_S[row_N[drawn]]
    _, group, size = np.unique(action, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    turn = np.empty(len(drawn), np.int64)
    turn[order] = np.arange(len(drawn)) - np.repeat(np.cumsum(size) - size, size)
    chosen = np.argsort(turn, kind="stable")[:count]
    return drawn[chosen[np.argsort(group[chosen], kind="stable")]]


def _joints(poses_TC: Poses, dims: int) -> Poses:
    return poses_TC.reshape(len(poses_TC), -1, dims)
