import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.plan_files import MANIFESTS, SMALL, TRACK, plan_of

from poise.experiments.candidates import GRIDS
from poise.experiments.grid import Fold, TrialSpec, grid
from poise.experiments.plan import Plan, load_plan
from poise.experiments.trial_data import fresh_refiner
from poise.runtime.errors import PlanError


@pytest.mark.parametrize("name", GRIDS)
def test_every_candidate_of_a_tuned_filter_can_be_built(tmp_path: Path, name: str) -> None:
    text = f"tracks: [{TRACK}]\nrefiners: [{name}, {{name: {name}, tuned: true}}]"
    plain, tuned = grid(plan_of(tmp_path, text), MANIFESTS)
    assert (plain.candidates, tuned.label) == ((), "tuned")
    assert plain.key != tuned.key
    assert TrialSpec.from_json(json.loads(json.dumps(tuned.to_json()))) == tuned
    for number, candidate in enumerate(tuned.candidates, start=1):
        refiner = fresh_refiner(tuned.with_candidate(number))
        assert candidate.items() <= refiner.settings().items()


def test_a_mirror_is_refused_where_no_axis_is_lateral(tmp_path: Path) -> None:
    text = "tracks: [h36m/fcn/3D]\nrefiners: [synspp]\nbudget: {mirror: true}"
    with pytest.raises(PlanError, match=r"refiners\[0\]\.budget\.mirror: .*lateral"):
        grid(plan_of(tmp_path, text), {"h36m/fcn/3D": "0"})


def test_the_grid_has_one_trial_for_each_seed_of_a_network(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL + "seeds: [0, 1, 2]\n")
    specs = grid(plan, MANIFESTS)
    assert [(spec.refiner, spec.seed) for spec in specs] == [
        ("input", 0),
        ("synspp", 0),
        ("synspp", 1),
        ("synspp", 2),
    ]
    assert specs[0].budget is None


def test_every_trial_is_run_once_for_each_fold(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL + "seeds: [0, 1]\nvalidation: {folds: 2}\n")
    specs = grid(plan, MANIFESTS)
    assert [(spec.refiner, spec.seed, spec.fold) for spec in specs] == [
        ("input", 0, Fold(1, 2)),
        ("input", 0, Fold(2, 2)),
        ("synspp", 0, Fold(1, 2)),
        ("synspp", 0, Fold(2, 2)),
        ("synspp", 1, Fold(1, 2)),
        ("synspp", 1, Fold(2, 2)),
    ]
    assert specs[3].name == f"SynSP++ on {TRACK}, seed 0, fold 2 of 2"
    for spec in specs:
        assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    without = grid(plan_of(tmp_path, SMALL + "seeds: [0, 1]\n"), MANIFESTS)
    of_more = grid(plan_of(tmp_path, SMALL + "validation: {folds: 3}\n"), MANIFESTS)
    keys = {spec.key for some in (specs, without, of_more) for spec in some}
    assert len(keys) == 6 + 3 + 6


def test_overrides_make_variants_and_narrow_budgets_win(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        SMALL
        + """
overrides:
  - {label: base}
  - {label: poses, settings: {input: pose}, budget: {epochs: 5}}
""",
    )
    _, base, poses = grid(plan, MANIFESTS)
    assert base.budget is not None
    assert poses.budget is not None
    assert (base.settings["input"], base.budget.epochs, base.title) == ("dct", 2, "SynSP++ (base)")
    assert (poses.settings["input"], poses.budget.epochs) == ("pose", 5)
    assert poses.settings["width"] == 16
    assert poses.budget.batch == 8


def test_twice_the_same_trial_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"tracks: [{TRACK}]\nrefiners: [input, {{name: input, label: b}}]")
    with pytest.raises(PlanError, match="same trial"):
        grid(plan, MANIFESTS)


def test_the_key_is_the_content(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL)
    _, spec = grid(plan, MANIFESTS)
    written_out = SMALL.replace("heads: 2", "heads: 2, dropout: 0.2").replace("small", "other")
    assert grid(plan_of(tmp_path, written_out), MANIFESTS)[1].key == spec.key
    for changed in (
        SMALL.replace("heads: 2", "heads: 4"),
        SMALL.replace("batch: 8", "batch: 16"),
        SMALL + "seeds: [1]",
        SMALL + "validation: {subjects: [s1]}",
    ):
        assert grid(plan_of(tmp_path, changed), MANIFESTS)[1].key != spec.key
    assert grid(plan, {TRACK: "other"})[1].key != spec.key


def test_the_key_is_the_same_in_every_version(tmp_path: Path) -> None:
    """Or a sweep would not meet the trials that an earlier Poise finished."""
    plan = load_plan("demo-full")
    keys = [spec.key for spec in grid(plan, dict.fromkeys(plan.tracks, "cafe"))]
    assert keys[-5:-3] == ["123f3a7b37202351", "d92a831fe675db45"]


def test_what_is_no_network_keeps_its_key_when_the_budget_changes(tmp_path: Path) -> None:
    longer = plan_of(tmp_path, SMALL).changed(epochs=7)
    before, after = grid(plan_of(tmp_path, SMALL), MANIFESTS), grid(longer, MANIFESTS)
    assert before[0].key == after[0].key
    assert before[1].key != after[1].key


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), label=st.text(max_size=9), width=st.integers(1, 64))
def test_a_spec_survives_json(seed: int, label: str, width: int) -> None:
    plan = Plan.model_validate(
        {
            "name": "p",
            "tracks": [TRACK],
            "refiners": [{"name": "synspp", "label": label, "settings": {"width": width}}],
            "seeds": [seed],
        }
    )
    (spec,) = grid(plan, MANIFESTS)
    assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
