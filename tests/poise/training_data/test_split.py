"""A split in memory: what is gathered is what the lake holds."""

from pathlib import Path

import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.lake.ids import WINDOW, decode, encode
from poise.runtime.errors import LakeError
from poise.training_data.split import TrackSplit, TrainingWindows, load_split
from poise_models.base.windows import unfold
from poise_retrieval.geometry.align import align


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
    with pytest.raises(LakeError, match=r"jobs/ingest\.py"):
        load_split(tmp_path, TRACK, "train")


def test_several_neighbours_come_together(train: TrackSplit) -> None:
    bank = train.bank()
    many, one = train.clips(bank, 2)[0], train.clips(bank)[0]
    assert one.neighbours_NKTC is not None
    assert one.neighbours_NKTC.shape[1] == 1
    assert many.neighbours_NKTC is not None
    assert many.neighbours_NKTC.shape[1] == 2
    torch.testing.assert_close(many.neighbours_NKTC[:, :1], one.neighbours_NKTC)
