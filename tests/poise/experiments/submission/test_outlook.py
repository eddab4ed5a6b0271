"""What a submission would do, and which tracks have data."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, finish, specs_of
from tests.support.tiny_lake import TRACK as HERE
from tests.support.tiny_lake import write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.experiments.submission.data import in_lake, ingested, without_data
from poise.experiments.submission.outlook import Outlook, outlook
from poise.experiments.submission.rates import measured
from poise.experiments.submission.selection import Selection
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings


def test_a_trial_takes_what_trials_of_its_kind_took(tmp_path: Path) -> None:
    sweep = begun(tmp_path, ["input", {"name": "synspp", "budget": {"batch": 10}}, "smoothnet"])
    first, network, again, other, _ = specs_of(sweep)
    for spec in (first, network):
        finish(sweep, spec, [50.0] * 6, 1.0)
    rates = measured(str(tmp_path / "sweeps"), {})
    # 600 frames within 2 s, and before it one fit of 1 s; epochs of 50 windows within 1 s.
    assert rates.seconds(first, "cpu", None, 1200) == pytest.approx(6.0)
    assert rates.seconds(again, "cpu", 50, 600) == pytest.approx(4.0)
    assert rates.seconds(replace(again, refit=True), "cpu", 100, 600) == pytest.approx(10.0)
    assert rates.seconds(again, "cuda", 50, 600) is None
    assert rates.seconds(again, "cpu", None, 600) is None
    assert rates.seconds(other, "cpu", 50, 600) is None


@pytest.fixture
def found(tmp_path: Path) -> Outlook:
    write_tiny_lake(tmp_path / "lake")
    plan = plan_of("input", SYNSPP, "smoothnet", tracks=[str(HERE), TRACK], seeds=[0, 1])
    settings = Settings(home=tmp_path, data=None)
    absent = without_data(plan.tracks, settings)
    manifests = in_lake(plan.tracks, settings.lake)
    return outlook(plan, manifests, absent, settings.sweeps, Selection(refiners=("s*",)))


def test_the_grid_is_told_before_anything_starts(found: Outlook) -> None:
    assert [(one.track, one.where) for one in found.tracks] == [
        (str(HERE), "in the lake"),
        (TRACK, "no data"),
    ]
    here = [trial for trial in found.trials if trial.spec.track == str(HERE)]
    assert [(t.spec.refiner, t.spec.seed, t.runs) for t in here] == [
        ("input", 0, False),
        ("synspp", 0, True),
        ("synspp", 1, True),
        ("smoothnet", 0, True),
        ("smoothnet", 1, True),
    ]
    assert found.running == here[1:]
    assert {trial.windows for trial in found.running} == {32}  # two batches of 16
    assert all(trial.seconds is None for trial in found.running)
    assert len(found.missing) == 1
    assert found.missing[0].startswith(f"{TRACK}: no data: ")


def test_a_track_without_data_says_where_it_was_looked_for(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", data=tmp_path)
    tracks = ["synthetic/simulated/3D", TRACK, "cmu/gaussian-10/3D"]
    absent = without_data(tracks, settings)
    assert list(absent) == tracks[1:]
    assert (
        str(tmp_path / "poses/h36m_fcn_3D/detected/h36m_fcn_3D_<train|test>.npz") in absent[TRACK]
    )
    assert "cmu_noise_3D/groundtruth/cmu_gt_3D_" in absent[tracks[2]]
    assert all("docs/data.md" in reason for reason in absent.values())
    with pytest.raises(DataError, match=rf"no track has data:\n  {TRACK}: no data: neither in"):
        ingested(tracks, [TRACK], absent, settings)


def test_a_track_that_is_not_wanted_is_not_ingested(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    tracks = [str(HERE), "synthetic/simulated/3D"]
    why = ingested(tracks, [str(HERE)], {}, Settings(home=tmp_path, data=None))
    assert why == {"synthetic/simulated/3D": "not in the lake, and not selected"}


@pytest.mark.slow
def test_files_that_cannot_be_used_cost_their_track_only(cluster: None, tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    broken = tmp_path / "poses/h36m_fcn_3D/detected/h36m_fcn_3D_train.npz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no archive")
    settings = Settings(home=tmp_path, data=tmp_path)
    tracks = [TRACK, str(HERE)]
    assert without_data(tracks, settings) == {}
    why = ingested(tracks, tracks, {}, settings)
    assert list(why) == [TRACK]
    assert why[TRACK].startswith("its data cannot be used: ")
