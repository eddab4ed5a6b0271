"""Some windows of the lake with their neighbours, to be looked at.

Shape letters: Q queries, K neighbours, T frames of a window, J joints, D dims, C = J * D.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import Ints
from poise.lake.manifest import Manifest
from poise.lake.poses import poses_of
from poise.lake.split_index import Listing
from poise.pvd.show.statistics import Cast, Table
from poise.runtime.storage import Location
from poise_retrieval import bring_into_frame

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


def examples(
    lake: Location,
    manifest: Manifest,
    table: Table,
    own: Cast,
    train: Cast,
    count: int,
    seed: int,
) -> list[Example]:
    """Draw windows of different actions, and read their poses and their neighbours'.

    Args:
        lake: where the track is.
        manifest: the track's; 2D or 3D.
        table: neighbours of the split to draw from.
        own: its sequences.
        train: the train split's.
        count: how many; fewer where fewer windows have a neighbour.
        seed: of the draw.
    """
    dims = manifest.dims
    chosen_Q = _spread(table, own, count, seed)
    query_QTC = poses_of(
        Listing.read(lake, manifest, table.split), table.ids_N[chosen_Q], "detected"
    )
    ids_QK = table.neighbour_ids_NK[chosen_Q]
    there_QK = ids_QK >= 0
    truth_BTC = poses_of(Listing.read(lake, manifest, "train"), ids_QK[there_QK], "truth")
    asked_BTC = query_QTC[np.nonzero(there_QK)[0]]
    moved = iter(bring_into_frame(truth_BTC, asked_BTC, manifest.representation).numpy())
    found = []
    for place, query_TC in zip(chosen_Q, query_QTC, strict=True):
        row = own.rows(table.ids_N[place])
        query = Shown(str(own.subject_S[row]), str(own.action_S[row]), 0.0, _joints(query_TC, dims))
        neighbours = [
            Shown(
                str(train.subject_S[hit]),
                str(train.action_S[hit]),
                float(distance),
                _joints(next(moved), dims),
            )
            for hit, distance, window in zip(
                train.rows(table.neighbour_ids_NK[place]),
                table.distances_NK[place],
                table.neighbour_ids_NK[place],
                strict=True,
            )
            if window >= 0
        ]
        found.append(Example(query, neighbours))
    return found


def _spread(table: Table, own: Cast, count: int, seed: int) -> Ints:
    """Draw windows at random, each action once before any comes twice; in order of action."""
    some = np.flatnonzero(table.neighbour_ids_NK[:, 0] >= 0)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(some)[: 1000 * count]
    action = own.action_S[own.rows(table.ids_N[drawn])]
    _, group, size = np.unique(action, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    turn = np.empty(len(drawn), np.int64)
    turn[order] = np.arange(len(drawn)) - np.repeat(np.cumsum(size) - size, size)
    chosen = np.argsort(turn, kind="stable")[:count]
    return drawn[chosen[np.argsort(group[chosen], kind="stable")]]


def _joints(poses_TC: Poses, dims: int) -> Poses:
    return poses_TC.reshape(len(poses_TC), -1, dims)
