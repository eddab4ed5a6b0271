import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import BUDGET, SYNSPP, begun, plan_of

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import load_checkpoint
from poise.evaluation.metrics import PoseErrors
from poise.experiments.fit import EpochReport, FitRequest
from poise.experiments.grid import grid
from poise.experiments.records import TrialFolder, TrialResult
from poise.experiments.shared_splits import Part, SplitSource
from poise.experiments.trial import TrialSetup, run_trial
from poise.lake.manifest import manifest_hash, read_manifest, write_manifest
from poise.runtime.errors import LakeError
from poise.training_data.split import TrackSplit, load_split
from poise_models.filters.offset import Offset, OffsetConfig


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return str(folder)


class CutOffError(Exception):
    """Stands for a kill at the end of an epoch."""


def run(trial: TrialFolder, lake: str, cut_after: int | None = None) -> list[float]:
    reported = []

    def report(metrics: dict[str, float]) -> None:
        reported.append(metrics["refit"] + 100 if "refit" in metrics else metrics["epoch"])
        if reported[-1] == cut_after:
            raise CutOffError

    run_trial(trial, TrialSetup(SplitSource(lake)), report)
    return reported


def timeless(result: TrialResult | None) -> dict[str, Any]:
    assert result is not None
    assert result.row is not None
    row = {k: v for k, v in result.row.to_json().items() if k != "seconds"}
    return {"row": row, "validation": result.validation, "held_out": result.held_out}


@pytest.mark.parametrize("cut_after", [1, 2, 3])
def test_a_trial_cut_off_after_any_epoch_ends_in_the_same_numbers(
    lake: str, tmp_path: Path, cut_after: int
) -> None:
    whole, cut = begun(lake, tmp_path / "whole"), begun(lake, tmp_path / "cut")
    assert run(whole, lake) == [1, 2, 3]
    with pytest.raises(CutOffError):
        run(cut, lake, cut_after)
    assert cut.result() is None
    assert run(cut, lake) == [1, 2, 3]
    assert timeless(cut.result()) == timeless(whole.result())
    for name in ("weights.safetensors",):
        one, other = (Path(t.checkpoint, name).read_bytes() for t in (cut, whole))
        assert one == other


def test_a_trial_keeps_the_epoch_that_is_best_on_validation(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scripted(*_: Any) -> Iterator[EpochReport]:
        for epoch, mpjpe in enumerate((30.0, 10.0, 20.0), start=1):
            yield EpochReport(epoch, 3, 0.1, PoseErrors(mpjpe, mpjpe, 1.0, 1.0, 100), 0.0, b"")

    monkeypatch.setattr("poise.experiments.trial.fit", scripted)
    trial = begun(lake, tmp_path)
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert result.validation["mpjpe"] == 10.0
    card = json.loads(Path(trial.checkpoint, "checkpoint.json").read_text())
    assert card["epochs"] == 2


def other_network(state: bytes) -> bytes:
    other: bytes = save({k: torch.zeros(3, *v.shape) for k, v in load(state).items()})
    return other


@pytest.mark.parametrize("damage", [other_network, lambda state: state[:-7], lambda _: b"{"])
@pytest.mark.parametrize("cut_after", [2, 102])
def test_a_state_of_another_network_or_a_damaged_one_is_not_gone_on_from(
    lake: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    cut_after: int,
) -> None:
    whole = begun(lake, tmp_path / "whole", validation=REFIT)
    cut = begun(lake, tmp_path / "cut", validation=REFIT)
    run(whole, lake)
    with pytest.raises(CutOffError):
        run(cut, lake, cut_after)
    place = Path((cut.refit if cut_after > 100 else cut).uri, "state.safetensors")
    place.write_bytes(damage(place.read_bytes()))
    run(cut, lake)
    assert "training begins anew" in caplog.text
    assert timeless(cut.result()) == timeless(whole.result())


def test_a_clock_that_was_set_back_makes_no_time_negative(lake: str, tmp_path: Path) -> None:
    whole, cut = begun(lake, tmp_path / "whole"), begun(lake, tmp_path / "cut")
    run(whole, lake)
    with pytest.raises(CutOffError):
        run(cut, lake, 2)
    # As if it were yesterday now.
    ahead = [replace(one, ended=one.ended + 86_400_000) for one in cut.history()]
    state = cut.state()
    assert state is not None
    cut.save_epoch(ahead, state)
    run(cut, lake)
    result = cut.result()
    assert timeless(result) == timeless(whole.result())
    assert result is not None
    assert result.ended >= result.started


REFIT = {"subjects": "auto", "refit": True}


def test_a_refit_learns_from_every_training_subject(lake: str, tmp_path: Path) -> None:
    trial = begun(lake, tmp_path, "offset", validation=REFIT)
    run(trial, lake)
    refiner, card = load_checkpoint(trial.checkpoint)
    whole = load_split(lake, TRACK, "train")
    expected = Offset(refiner.spec, OffsetConfig())
    expected.fit(whole.pairs())
    torch.testing.assert_close(refiner.get_buffer("offset_C"), expected.offset_C)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert card.metrics["score"] == result.validation["score"]


@pytest.mark.parametrize("cut_after", [2, 101, 103])
def test_a_refit_that_was_cut_off_ends_in_the_same_weights(
    lake: str, tmp_path: Path, cut_after: int
) -> None:
    whole = begun(lake, tmp_path / "whole", validation=REFIT)
    cut = begun(lake, tmp_path / "cut", validation=REFIT)
    assert run(whole, lake) == [1, 2, 3, 101, 102, 103]
    with pytest.raises(CutOffError):
        run(cut, lake, cut_after)
    run(cut, lake)
    assert timeless(cut.result()) == timeless(whole.result())
    one, other = (Path(t.checkpoint, "weights.safetensors").read_bytes() for t in (cut, whole))
    assert one == other


TUNED = {"name": "gaussian1d", "tuned": True}


class OtherTestSource(SplitSource):
    """A source whose test split alone is another than the lake's."""

    def split(self, track: Track, split: Part) -> TrackSplit:
        found = super().split(track, split)
        shaken_FC = found.detected_FC + torch.randn(found.detected_FC.shape)
        return replace(found, detected_FC=shaken_FC) if split == "test" else found


def test_a_filter_is_tuned_on_training_subjects_alone(lake: str, tmp_path: Path) -> None:
    here, there = begun(lake, tmp_path / "here", TUNED), begun(lake, tmp_path / "there", TUNED)
    run(here, lake)
    run_trial(there, TrialSetup(OtherTestSource(lake)), lambda _: None)
    one, other = here.result(), there.result()
    assert one is not None
    assert other is not None
    assert timeless(one)["row"] != timeless(other)["row"]
    assert (one.chosen, one.validation) == (other.chosen, other.validation)
    scores = [epoch.metrics["score"] for epoch in here.history()]
    spec = here.spec()
    assert spec is not None
    assert one.chosen == spec.candidates[scores.index(min(scores))]
    assert load_checkpoint(here.checkpoint)[0].settings() == {**spec.settings, **one.chosen}
    assert one.choice == f"sigma {one.chosen['sigma']:g}, block 0"


def test_a_tuned_trial_goes_on_with_the_next_candidate(lake: str, tmp_path: Path) -> None:
    whole, cut = begun(lake, tmp_path / "whole", TUNED), begun(lake, tmp_path / "cut", TUNED)
    run(whole, lake)
    spec = cut.spec()
    assert spec is not None
    # As after a kill that came between the third and the fourth.
    cut.begin(replace(spec, candidates=spec.candidates[:3]))
    run(cut, lake)
    cut.reopen()
    cut.begin(spec)
    before = cut.history()
    run(cut, lake)
    assert cut.history()[:3] == before
    assert timeless(cut.result()) == timeless(whole.result())
    assert cut.result().chosen == whole.result().chosen  # type: ignore[union-attr]


def test_a_tuned_refiner_that_learns_is_fitted_anew_as_it_was_chosen(
    lake: str, tmp_path: Path
) -> None:
    trial = begun(lake, tmp_path, {"name": "offset-gaussian", "tuned": True}, validation=REFIT)
    run(trial, lake)
    result = trial.result()
    assert result is not None
    refiner, _ = load_checkpoint(trial.checkpoint)
    assert refiner.settings() == result.chosen
    expected = Offset(refiner.spec, OffsetConfig())
    expected.fit(load_split(lake, TRACK, "train").pairs())
    torch.testing.assert_close(refiner.get_buffer("offset_C"), expected.offset_C)


def test_the_score_of_the_input_is_one(lake: str, tmp_path: Path) -> None:
    trial = begun(lake, tmp_path, "input")
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.validation is not None
    assert result.validation["score"] == 1.0
    assert len(result.held_out) == 1


def test_validation_subjects_never_train(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {}

    def spy(refiner: Any, wanted: FitRequest, *_: Any) -> Iterator[Any]:
        assert isinstance(wanted.train, TrackSplit)
        assert wanted.validation is not None
        seen.update(
            train=set(wanted.train.index.subjects), validation=set(wanted.validation.index.subjects)
        )
        raise LakeError("seen enough")

    monkeypatch.setattr("poise.experiments.trial.fit", spy)
    subject = sorted(set(load_split(lake, TRACK, "train").index.subjects))[0]
    trial = begun(lake, tmp_path, validation={"subjects": [subject]})
    run(trial, lake)
    assert seen["validation"] == {subject}
    assert seen["train"].isdisjoint(seen["validation"])
    assert seen["train"]


def test_a_trial_that_leaves_the_finite_numbers_fails_with_the_reason(
    lake: str, tmp_path: Path
) -> None:
    trial = begun(lake, tmp_path, budget={**BUDGET, "learning_rate": 1e30})
    run(trial, lake)
    result = trial.result()
    assert result is not None
    assert result.status == "failed"
    assert "finite" in result.reason or "nan" in result.reason
    assert result.row is None


@pytest.mark.parametrize(
    ("refiner", "with_pvd", "without_pvd"),
    [
        ("input", "none", "none"),
        ({"name": "smoothnet", "settings": {"hidden": 8}}, "none", "none"),
        (SYNSPP, "used", "unavailable"),
    ],
)
def test_a_row_says_whether_its_refiner_had_neighbours(
    lake: str, tmp_path: Path, refiner: Any, with_pvd: str, without_pvd: str
) -> None:
    write_tiny_lake(tmp_path / "lake")
    manifest = read_manifest(tmp_path / "lake", TRACK)
    write_manifest(str(tmp_path / "lake"), replace(manifest, pvd=None))
    for place, expected in ((lake, with_pvd), (str(tmp_path / "lake"), without_pvd)):
        trial = begun(place, tmp_path / expected, refiner)
        run(trial, place)
        result = trial.result()
        assert result is not None
        assert result.row is not None
        assert result.row.retrieval == expected


def test_a_trial_of_a_fold_is_scored_on_its_people(lake: str, tmp_path: Path) -> None:
    everybody = {name for split in SPLITS for name in load_split(lake, TRACK, split).index.subjects}
    plan = plan_of(SYNSPP, validation={"folds": 4, "refit": True})
    manifest = manifest_hash(read_manifest(lake, TRACK))
    seen: list[str] = []
    for spec in grid(plan, {str(TRACK): manifest})[:2]:
        trial = TrialFolder(str(tmp_path / spec.key))
        trial.begin(spec)
        run(trial, lake)
        result = trial.result()
        assert result is not None
        assert result.row is not None
        assert (result.row.retrieval, result.row.frames) == ("used", 120)
        assert set(result.tested) == {one.subject for one in trial.scored()}
        assert not set(result.tested) & set(result.held_out)
        seen += result.tested
    assert len(set(seen)) == 2
    assert set(seen) < everybody


def test_results_of_before_rows_said_so_are_read(tmp_path: Path) -> None:
    row = {"track": str(TRACK), "refiner": "synspp", "seed": 2, "mpjpe": 39.2, "pa_mpjpe": 37.3}
    row |= {"accel": 1.7, "accel_interior": 1.7, "frames": 4800, "params": 7, "seconds": 2.5}
    told = {"status": "finished", "started": 1, "ended": 2, "reason": "", "held_out": ["S6"]}
    told |= {"validation": {"score": 0.4}, "row": row}
    (tmp_path / "result.json").write_text(json.dumps(told))
    result = TrialFolder(str(tmp_path)).result()
    assert result is not None
    assert result.row is not None
    assert (result.row.retrieval, result.row.unit) == ("", "")
    assert result.tested == ()
