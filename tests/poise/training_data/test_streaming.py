"""Training windows streamed from the lake: the same windows, as well mixed, in less memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake
from torch import Tensor

from poise.checkpoints.checkpoint import pose_spec
from poise.experiments.fit import EpochReport, FitRequest, fit
from poise.experiments.grid import grid
from poise.experiments.plan import Plan
from poise.experiments.records import TrialFolder, TrialResult
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial import TrialSetup, run_trial
from poise.lake.ids import WINDOW
from poise.runtime.errors import LakeError
from poise.training_data.split import TrackSplit, load_split
from poise.training_data.streaming import StreamedSplit, StreamedWindows
from poise.training_data.training_windows import TrainingWindows
from poise_models import catalogue
from poise_models.base.budget import Budget

SUBJECTS, PER_SUBJECT, FRAMES = 6, 8, 30
#: Three pools of a third each: half of the split at a time.
POSES = SUBJECTS * PER_SUBJECT * FRAMES * 51 * 8
MEMORY = 3 * POSES // 2


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder, SUBJECTS, PER_SUBJECT, FRAMES, group=2)  # 24 groups, by subject
    return folder


@pytest.fixture(scope="module")
def train(lake: Path) -> TrackSplit:
    return load_split(lake, TRACK, "train")


def streamed(lake: Path, memory: int = MEMORY, **more: object) -> StreamedSplit:
    return StreamedSplit(lake, TRACK, memory_bytes=memory, **more)  # type: ignore[arg-type]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("length", [WINDOW, 16])
@pytest.mark.parametrize("subjects", [None, ["S2", "S5"]])
def test_an_epoch_is_every_window_once_and_each_is_right(
    lake: Path, train: TrackSplit, length: int, subjects: list[str] | None
) -> None:
    part = train if subjects is None else train.only(subjects)
    resident = TrainingWindows(part, length, None)
    windows = StreamedWindows(streamed(lake, subjects=subjects), length, None)
    order = windows.order(chance())
    assert len(windows) == len(resident) == len(order)
    seen = []
    for at in range(0, len(order), 100):
        batch = windows.batch(order[at : at + 100], chance())
        seen.append(torch.cat([batch.detected_BTC, batch.truth_BTC], dim=-1))
    found = torch.cat(seen)
    assert order.sort().values.tolist() == list(range(len(order)))
    wanted = resident.batch(torch.arange(len(resident)), chance())
    expected = torch.cat([wanted.detected_BTC, wanted.truth_BTC], dim=-1)
    assert sorted_rows(found) == sorted_rows(expected)


def sorted_rows(windows: Tensor) -> list[bytes]:
    return sorted(row.tobytes() for row in windows.numpy())


def test_numbers_mean_what_they_mean_in_memory(lake: Path, train: TrackSplit) -> None:
    resident, windows = TrainingWindows(train, 8, None), StreamedWindows(streamed(lake), 8, None)
    index_B = torch.randperm(len(resident), generator=chance())
    one, other = resident.batch(index_B, chance()), windows.batch(index_B, chance())
    assert torch.equal(one.detected_BTC, other.detected_BTC)
    assert torch.equal(one.truth_BTC, other.truth_BTC)


def test_epochs_follow_from_their_seed(lake: Path) -> None:
    one, other = (StreamedWindows(streamed(lake), 8, None) for _ in range(2))
    first = one.order(chance(1))
    assert torch.equal(first, other.order(chance(1)))
    assert not torch.equal(first, other.order(chance(2)))
    assert torch.equal(first, other.order(chance(1)))  # whatever epochs came between


def test_batches_are_mixed_like_draws_from_everything(lake: Path, train: TrackSplit) -> None:
    windows = StreamedWindows(streamed(lake), 8, None)
    count = FRAMES - WINDOW + 1
    subject_N = np.repeat(np.unique(train.index.subjects, return_inverse=True)[1], count)
    batch = 96
    spread: list[float] = []
    even: list[float] = []
    for epoch in range(6):
        for order, spreads in (
            (windows.order(chance(epoch)), spread),
            (torch.randperm(len(windows), generator=chance(epoch)), even),
        ):
            for at in range(0, len(order) - batch + 1, batch):
                drawn = np.bincount(subject_N[order[at : at + batch].numpy()], minlength=SUBJECTS)
                assert (drawn > 0).all()
                spreads.append(float(np.square(drawn - batch / SUBJECTS).sum()))
    # Distance from the even share, beside that of uniform draws; in lake order, where a batch has
    # two subjects, it would be some 40 times as much.
    assert np.mean(spread) < 1.5 * np.mean(even)


def test_memory_is_bounded_by_pools(lake: Path) -> None:
    windows = StreamedWindows(streamed(lake, MEMORY // 4), 8, None)
    order = windows.order(chance())
    held = []
    for at in range(0, len(order), 50):
        windows.batch(order[at : at + 50], chance())
        done = [future.result() for future in windows._ready.values()]
        held.append(sum(p.detected_FC.nbytes + p.truth_FC.nbytes for p in done))
    assert max(held) <= MEMORY // 4
    assert len(windows._pools) >= 8


def test_neighbours_come_along_or_are_refused(lake: Path, train: TrackSplit) -> None:
    bank = train.bank()
    resident = TrainingWindows(train, 8, bank)
    windows = StreamedWindows(streamed(lake, 20 * POSES), 8, bank)
    index_B = torch.arange(0, len(resident), 7)
    one, other = resident.batch(index_B, chance(3)), windows.batch(index_B, chance(3))
    assert torch.equal(one.neighbours_BKTC, other.neighbours_BKTC)
    assert torch.equal(one.distances_BK, other.distances_BK)
    with pytest.raises(LakeError, match=r"allow at least .* or train a refiner without neighbours"):
        StreamedWindows(streamed(lake, POSES // 2), 8, bank)


def test_too_short_and_too_little(lake: Path) -> None:
    with pytest.raises(LakeError, match="no training sequence has 31 frames"):
        StreamedWindows(streamed(lake), 31, None)


@pytest.mark.parametrize("name", ["smoothnet", "offset"])
def test_a_streamed_fit_can_be_resumed(lake: Path, train: TrackSplit, name: str) -> None:
    small = {"window": 8, "hidden": 16, "residual": 8, "blocks": 1} if name == "smoothnet" else {}
    budget = Budget(epochs=3, batch=64)

    def run(state: bytes | None = None, upto: int = 3) -> list[Any]:
        torch.manual_seed(0)
        built = catalogue.build(name, pose_spec(TRACK), small)
        made: list[Any] = []
        for report in fit(built, FitRequest(streamed(lake), train, None, budget), state):
            assert isinstance(report, EpochReport)
            made.append((report.loss, report.validation, report.state))
            if report.epoch == upto:
                break
        return made

    straight = run()
    if name == "smoothnet":
        first = run(upto=1)
        assert run(first[0][2])[0][:2] == straight[1][:2]
        assert straight[-1][0] < straight[0][0]
    else:
        assert run() == straight


@pytest.mark.parametrize("name", ["synspp", "offset"])
def test_a_plan_may_stream_its_trials(lake: Path, tmp_path: Path, name: str) -> None:
    small = {"width": 8, "feed_forward": 8, "heads": 1, "layers": 1} if name == "synspp" else {}
    plan = Plan.model_validate(
        {
            "name": "tiny",
            "tracks": [str(TRACK)],
            "refiners": [{"name": name, "settings": small}],
            "budget": {"epochs": 1, "batch": 32, "steps_per_epoch": 3},
            "resources": {"stream_gb": 20 * POSES / 2**30},
            "validation": {"refit": True},
        }
    )
    (spec,) = grid(plan, {str(TRACK): "tiny"})

    def run(folder: str, stream_gb: float | None) -> TrialResult:
        trial = TrialFolder(str(tmp_path / folder))
        trial.begin(spec)
        setup = TrialSetup(SplitSource(str(lake)), stream_gb=stream_gb)
        run_trial(trial, setup, lambda _: None)
        result = trial.result()
        assert result is not None
        return result

    streamed_, resident = run("streamed", plan.resources.stream_gb), run("resident", None)
    assert streamed_.row is not None
    assert resident.row is not None
    assert streamed_.held_out == resident.held_out
    assert streamed_.row.frames == resident.row.frames
    if name == "offset":
        assert streamed_.row.mpjpe == pytest.approx(resident.row.mpjpe, rel=1e-5)
    else:
        refused = run("refused", POSES / 2**30)
        assert refused.status == "failed"
        assert "train a refiner without neighbours" in refused.reason
