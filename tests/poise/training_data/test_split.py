"""A split in memory: what is gathered is what the lake holds."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.lake.ids import WINDOW, decode, encode
from poise.runtime.errors import LakeError
from poise.training_data.neighbour_draw import NeighbourDraw
from poise.training_data.split import TrackSplit, load_split
from poise.training_data.training_windows import TrainingWindows
from poise_models.base.windows import unfold
from poise_retrieval.geometry.align import align
from poise_retrieval.neighbours import Neighbours

ORDER = torch.arange(10)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return folder


@pytest.fixture(scope="module")
def train(lake: Path) -> TrackSplit:
    return load_split(lake, TRACK, "train")


def test_bank_returns_the_truth_window_of_an_id(train: TrackSplit) -> None:
    bank = train.bank()
    for row, truth in enumerate(train.truths()):
        ids = encode(torch.tensor(train.index.ids_S[row]), torch.arange(len(truth) - WINDOW + 1))
        assert torch.equal(bank.windows(ids), unfold(truth, WINDOW))


def test_bank_refuses_a_window_it_does_not_have(train: TrackSplit) -> None:
    with pytest.raises(LakeError, match="different ingests"):
        train.bank().windows(torch.tensor([encode(5, 0)]))


def test_neighbours_come_in_the_windows_frame(train: TrackSplit) -> None:
    bank = train.bank()
    detected = unfold(train.detected()[0], WINDOW)
    assert train.neighbours is not None
    ids = torch.from_numpy(train.neighbours.ids_BK[: len(detected), :1])
    found, _ = bank.neighbours(detected, ids, torch.zeros(ids.shape))
    expected = align(bank.windows(ids[:, 0]).reshape(-1, 136, 3), detected.reshape(-1, 136, 3))
    torch.testing.assert_close(found, expected.reshape(found.shape))


def test_no_neighbour_means_the_window_itself_at_distance_one(train: TrackSplit) -> None:
    detected = unfold(train.detected()[0], WINDOW)[:4]
    nothing = torch.full((4, 2), -1)
    found, distance = train.bank().neighbours(detected, nothing, torch.full((4, 2), torch.inf))
    assert torch.equal(found, detected[:, None].expand_as(found))
    assert distance.tolist() == [[1.0, 1.0]] * 4


def test_subsets_keep_frames_and_neighbours_together(train: TrackSplit) -> None:
    subject = sorted(set(train.index.subjects))[1]
    part, rest = train.only([subject]), train.without([subject])
    assert set(part.index.subjects) == {subject}
    assert subject not in rest.index.subjects
    assert len(part.index.names) + len(rest.index.names) == len(train.index.names)
    bank = train.bank()
    for whole_row, name in enumerate(train.index.names):
        if name in part.index.names:
            row = part.index.names.index(name)
            assert torch.equal(part.truths()[row], train.truths()[whole_row])
            a, b = part.clips(bank)[row], train.clips(bank)[whole_row]
            assert a.neighbours_NKTC is not None
            assert b.neighbours_NKTC is not None
            assert torch.equal(a.neighbours_NKTC, b.neighbours_NKTC)


@pytest.mark.parametrize("length", [8, 16])
def test_training_windows_are_every_window_of_every_sequence(
    train: TrackSplit, length: int
) -> None:
    windows = TrainingWindows(train, length, train.bank() if length == WINDOW else None)
    generator = torch.Generator().manual_seed(0)
    batch = windows.batch(torch.arange(len(windows)), generator)
    assert torch.equal(batch.detected_BTC, torch.cat([unfold(d, length) for d in train.detected()]))
    assert torch.equal(batch.truth_BTC, torch.cat([unfold(t, length) for t in train.truths()]))


def test_half_of_the_draws_take_the_nearest_neighbour(train: TrackSplit) -> None:
    windows = TrainingWindows(train, WINDOW, train.bank())
    generator = torch.Generator().manual_seed(0)
    index = torch.zeros(4000, dtype=torch.long)
    drawn = windows.batch(index, generator).distances_BK
    assert windows.draw is not None
    nearest = windows.draw.distances_RK[0, 0]
    assert (drawn == nearest).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert len(drawn.unique()) == 3


def test_a_training_draw_never_comes_from_the_querys_own_subject(train: TrackSplit) -> None:
    assert train.neighbours is not None
    owner = dict(zip(train.index.ids_S.tolist(), train.index.subjects, strict=True))
    row = 0
    for subject, frames in zip(train.index.subjects, train.index.frames_S.tolist(), strict=True):
        for ids in train.neighbours.ids_BK[row : row + frames - WINDOW + 1].tolist():
            assert subject not in {owner[decode(i)[0]] for i in ids}
        row += frames - WINDOW + 1


def test_a_track_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"poise ingest"):
        load_split(tmp_path, TRACK, "train")


def test_several_neighbours_come_together(train: TrackSplit) -> None:
    bank = train.bank()
    many, one = train.clips(bank, 2)[0], train.clips(bank)[0]
    assert one.neighbours_NKTC is not None
    assert one.neighbours_NKTC.shape[1] == 1
    assert many.neighbours_NKTC is not None
    assert many.neighbours_NKTC.shape[1] == 2
    torch.testing.assert_close(many.neighbours_NKTC[:, :1], one.neighbours_NKTC)


def gathered(split: TrackSplit, rows: list[int], length: int) -> list[torch.Tensor]:
    """All windows of some sequences, one copied after the other: detected, truth, neighbours."""
    assert split.neighbours is not None
    first_S = np.cumsum(split.index.windows_S) - split.index.windows_S
    lake_N = np.concatenate(
        [first_S[row] + np.arange(split.index.frames_S[row] - length + 1) for row in rows]
    )
    return [
        torch.cat([unfold(split.detected()[row], length) for row in rows]).clone(),
        torch.cat([unfold(split.truths()[row], length) for row in rows]).clone(),
        torch.tensor(split.neighbours.ids_BK[lake_N]),
        torch.tensor(split.neighbours.distances_BK[lake_N]),
    ]


@pytest.mark.parametrize("rows", [[0, 1, 2], [5, 6, 7, 8], [8, 2, 5], [4]])
def test_a_subset_shares_its_poses_and_its_windows_are_an_explicit_gather(
    train: TrackSplit, rows: list[int]
) -> None:
    part = train.take(rows)
    assert part.detected_FC is train.detected_FC
    assert part.truth_FC is train.truth_FC
    assert part.neighbours is train.neighbours
    windows = TrainingWindows(part, WINDOW, train.bank())
    detected, truth, ids, distances = gathered(train, rows, WINDOW)
    assert windows.draw is not None
    assert windows.detected_FC.data_ptr() == train.detected_FC.data_ptr()
    assert windows.truth_FC.data_ptr() == train.truth.data_ptr()
    assert windows.draw.row_N is not None
    assert torch.equal(windows.draw.ids_RK[windows.draw.row_N], ids)
    assert torch.equal(windows.draw.distances_RK[windows.draw.row_N], distances)
    order = windows.order(torch.Generator().manual_seed(1))
    assert torch.equal(
        order, torch.randperm(len(detected), generator=torch.Generator().manual_seed(1))
    )
    batch = windows.batch(order[:20], torch.Generator().manual_seed(2))
    assert torch.equal(batch.detected_BTC, detected[order[:20]])
    assert torch.equal(batch.truth_BTC, truth[order[:20]])
    draw = NeighbourDraw(train.bank(), Neighbours(ids.numpy(), distances.numpy()), "cpu")
    given = detected[order[:20]], truth[order[:20]], order[:20]
    same = draw.with_neighbours(*given, torch.Generator().manual_seed(2))
    assert torch.equal(batch.neighbours_BKTC, same.neighbours_BKTC)
    assert torch.equal(batch.distances_BK, same.distances_BK)
    for row, pair in zip(rows, part.pairs(), strict=True):
        assert pair.subject == train.index.subjects[row]
        assert torch.equal(pair.detected_FC, train.detected()[row])
        assert torch.equal(pair.truth_FC, train.truths()[row])


def test_a_bank_of_a_subset_has_its_windows_alone(train: TrackSplit) -> None:
    part = train.take([7, 1])
    _, ids = part.index.every_window()
    wanted = torch.cat([unfold(truth, WINDOW) for truth in part.truths()])
    assert torch.equal(part.bank().windows(torch.from_numpy(ids)), wanted)
    with pytest.raises(LakeError, match="different ingests"):
        part.bank().windows(torch.tensor([encode(int(train.index.ids_S[0]), 0)]))


def test_a_split_travels_without_copies_of_its_poses(train: TrackSplit) -> None:
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(train, protocol=5, buffer_callback=buffers.append)
    assert train.detected_FC.nbytes in [len(one.raw()) for one in buffers]
    assert len(small) < train.detected_FC.nbytes / 10
    frozen = [memoryview(bytes(one.raw())).toreadonly() for one in buffers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there: TrackSplit = pickle.loads(small, buffers=frozen)  # noqa: S301
        bank, some = there.bank(), there.index.subjects[:1]
        clips = there.only(some).clips(bank, 2)
        batch = TrainingWindows(there.without(some), WINDOW, bank).batch(ORDER, generator())
    assert torch.equal(there.detected_FC, train.detected_FC)
    assert torch.equal(there.truth, train.truth)
    assert there.index.names == train.index.names
    for one, other in zip(clips, train.only(some).clips(train.bank(), 2), strict=True):
        assert one.neighbours_NKTC is not None
        assert other.neighbours_NKTC is not None
        assert torch.equal(one.neighbours_NKTC, other.neighbours_NKTC)
    here = TrainingWindows(train.without(some), WINDOW, train.bank()).batch(ORDER, generator())
    assert all(map(torch.equal, vars(batch).values(), vars(here).values()))
