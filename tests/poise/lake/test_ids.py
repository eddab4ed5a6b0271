"""Names of sequences and windows, and which windows a sequence has."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.lake import ids
from poise.lake.ids import LONGEST, WINDOW, decode, encode, sequence_ids, window_count
from poise.lake.poses import gather_windows

TRACK = Track.parse("uiprmd/kinect/3D")
GOLDEN = {"S1/m01": 473938620018, "S2/m01": 299053100668}
NAMES = st.lists(st.text(min_size=1, max_size=12), unique=True, min_size=1, max_size=40)
SEQUENCES, STARTS = st.integers(0, 2**39 - 1), st.integers(0, LONGEST)


@given(NAMES, st.randoms())
def test_ids_do_not_depend_on_order(names: list[str], chance: Random) -> None:
    found = sequence_ids(TRACK, "train", names)
    shuffled = list(names)
    chance.shuffle(shuffled)
    assert sequence_ids(TRACK, "train", shuffled) == found
    assert len(set(found.values())) == len(names)
    other = set(sequence_ids(TRACK, "test", names).values())
    assert other.isdisjoint(found.values())
    assert all(0 <= one < 2**39 for one in other.union(found.values()))


def test_ids_are_these_for_ever() -> None:
    assert sequence_ids(TRACK, "train", list(GOLDEN)) == GOLDEN
    for track, split in ((TRACK, SPLITS[1]), (Track.parse("h36m/fcn/3D"), SPLITS[0])):
        assert sequence_ids(track, split, ["S1/m01"])["S1/m01"] != GOLDEN["S1/m01"]
    assert encode(GOLDEN["S1/m01"], 5) == 473938620018 * 2**24 + 5


def test_a_clash_goes_to_the_later_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_hash", lambda track, split, name: 2**38 - 1)
    assert sequence_ids(TRACK, "test", ["c", "a", "b"]) == {"a": 2**39 - 1, "b": 1, "c": 3}


@given(st.lists(st.tuples(SEQUENCES, STARTS), min_size=1, max_size=20))
def test_decoding_undoes_encoding(windows: Sequence[tuple[int, int]]) -> None:
    named = [encode(sequence, start) for sequence, start in windows]
    assert [decode(one) for one in named] == windows
    assert all(0 <= one < 2**63 for one in named)
    sequence_N, start_N = np.array(windows, np.int64).T
    assert encode(sequence_N, start_N).tolist() == named
    assert encode(torch.from_numpy(sequence_N), torch.from_numpy(start_N)).tolist() == named
    columns = [sequence_N.tolist(), start_N.tolist()]
    assert [part.tolist() for part in decode(np.array(named))] == columns
    assert [part.tolist() for part in decode(torch.tensor(named))] == columns


@given(st.lists(st.tuples(SEQUENCES, STARTS), unique=True, max_size=20))
def test_windows_sort_by_sequence_and_start(windows: list[tuple[int, int]]) -> None:
    assert [decode(one) for one in sorted(encode(*one) for one in windows)] == sorted(windows)


def test_no_window_is_of_no_sequence() -> None:
    """-1 stands for no neighbour: it must not name a window of any sequence."""
    assert decode(-1)[0] == -1
    assert decode(np.array([-1]))[0].tolist() == decode(torch.tensor([-1]))[0].tolist() == [-1]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_windows_against_a_loop(lengths: list[int]) -> None:
    frames_S = np.array(lengths)
    frames_FC = np.arange(frames_S.sum(), dtype=np.float32)[:, None]
    expected: list[tuple[int, int, list[float]]] = []
    begin = 0
    for row, length in enumerate(lengths):
        for start in range(max(length - WINDOW + 1, 1)):
            inside = [min(start + step, length - 1) for step in range(WINDOW)]
            expected.append((row, start, [float(begin + place) for place in inside]))
        begin += length
    row_N, start_N = ids.window_index(frames_S)
    windows_NTC = np.concatenate(list(gather_windows(frames_FC, frames_S)))
    got = zip(row_N.tolist(), start_N.tolist(), windows_NTC[:, :, 0].tolist(), strict=True)
    assert list(got) == expected
    counts = [sum(row == number for row, *_ in expected) for number in range(len(lengths))]
    assert [window_count(length) for length in lengths] == counts
    assert window_count(frames_S).tolist() == counts
    assert window_count(torch.tensor(lengths)).tolist() == counts


def test_windows_come_in_bounded_chunks() -> None:
    chunks = list(gather_windows(np.zeros((20_000, 3), np.float32), np.array([20_000])))
    assert sum(map(len, chunks)) == 19_993
    assert max(map(len, chunks)) <= 8192
