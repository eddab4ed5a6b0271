"""Points of a search space as trials, and the best of them as a plan."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny_lake import TRACK
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.evaluation.metrics import PoseErrors
from poise.evaluation.scored import Scored
from poise.experiments.grid import grid
from poise.experiments.plan import load_plan
from poise.experiments.records import Epoch, SweepFolder, TrialResult
from poise.experiments.search.best import best_of, best_plan, best_text, table
from poise.experiments.search.points import Points
from poise.experiments.search.trials import SearchTrials
from poise.experiments.space import SearchPart, Values
from poise.runtime.errors import PlanError

MANIFESTS = {str(TRACK): "aaaa"}
SPACE: dict[str, dict[str, Any]] = {
    "settings": {"width": {"choice": [8, 16]}, "dropout": {"uniform": [0, 0.5]}},
    "budget": {"learning_rate": {"loguniform": [1e-4, 1e-1]}},
}


def points_of(space: Any = SPACE, method: str = "tpe", **more: Any) -> Points:
    search = {"method": method, "trials": 4, "space": space}
    return Points(plan_of(SYNSPP, search=search, **{"seeds": [3, 4], **more}), MANIFESTS)


def values_of(width: int, dropout: float, rate: float) -> Values:
    return {"settings": {"width": width, "dropout": dropout}, "budget": {"learning_rate": rate}}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([8, 16]), st.floats(0, 0.5), st.floats(1e-4, 1e-1))
def test_values_make_a_trial_that_tells_them(width: int, dropout: float, rate: float) -> None:
    points, values = points_of(), values_of(width, dropout, rate)
    spec = points.spec(values)
    assert points.values(spec) == values
    assert spec.untested
    assert spec.seed == 3
    assert spec.budget is not None
    assert spec.budget.learning_rate == rate
    assert spec.settings["width"] == width
    assert spec.settings["skip"] == SYNSPP["settings"]["skip"]  # type: ignore[index]
    assert points.spec(values).key == spec.key


def test_trials_of_another_plan_or_space_are_not_taken_up() -> None:
    spec = points_of().spec(values_of(16, 0.5, 0.1))
    assert points_of({"budget": SPACE["budget"]}).values(spec) is None
    assert points_of(budget={"epochs": 9}).values(spec) is None
    narrow = {**SPACE, "settings": {**SPACE["settings"], "width": {"choice": [4, 8]}}}
    assert points_of(narrow).values(spec) is None
    tested = plan_of(SYNSPP, seeds=[3])
    assert points_of().values(grid(tested, MANIFESTS)[0]) is None


def test_a_search_of_more_trials_goes_on_with_those_it_has() -> None:
    spec = points_of().spec(values_of(16, 0.5, 0.1))
    more = points_of()
    assert more.search.model_copy(update={"trials": 9}).trials == 9
    assert more.values(spec) is not None


@pytest.mark.parametrize(
    ("space", "method", "said"),
    [
        ({"settings": {"widht": {"choice": [1, 2]}}}, "tpe", r"space\.settings\.widht: .*widht"),
        ({"settings": {"width": {"uniform": [8, 16]}}}, "tpe", "whole numbers are drawn by"),
        ({"budget": {"lerning_rate": {"choice": [1, 2]}}}, "tpe", "did you mean learning_rate"),
        ({"budget": {"ema": {"uniform": [0, 1]}}}, "tpe", r"space\.budget\.ema: .*less than 1"),
        ({"settings": {"width": {"choice": [8, 16]}}}, "pbt", "cannot be changed then"),
        ({"budget": {"batch": {"choice": [8, 16]}}}, "pbt", "cannot be changed then"),
    ],
)
def test_what_the_network_cannot_have_is_said_before_anything_starts(
    space: Any, method: str, said: str
) -> None:
    with pytest.raises(PlanError, match=said):
        points_of(space, method)


def test_only_networks_are_searched() -> None:
    search = {"trials": 4, "space": {"settings": {"sigma": {"choice": [1, 2]}}}}
    with pytest.raises(PlanError, match="gaussian1d is not trained by gradient"):
        Points(plan_of("gaussian1d", search=search), MANIFESTS)


def test_the_best_is_a_plan_of_its_own(tmp_path: Path) -> None:
    points = points_of(validation={"refit": True}, resources={"cpu": 2})
    trials = SearchTrials(SweepFolder(str(tmp_path / "tiny")), points)
    for number, (status, score) in enumerate(
        [("finished", 0.5), ("finished", 0.25), ("failed", 0.1), ("stopped", 0.3)]
    ):
        spec = points.spec(values_of(8, 0.1 * number, 0.01))
        trials.begin(spec)
        folder = trials.sweep.trial(spec.key)
        folder.save_epoch([Epoch(1, 1, 1.0, {"score": score})], b"")
        known = {"score": score, "mpjpe": score, "input_mpjpe": 1.0, "input_accel": 1.0}
        folder.finish(TrialResult(status, 0, 1, "", known, ("S3",)))  # type: ignore[arg-type]
        errors = [PoseErrors(score + d, 0, score - d, 0, 10) for d in (-0.01, 0.01)]
        folder.save_validation([Scored(str(n), "S3", e) for n, e in enumerate(errors)])

    tried = SearchTrials(trials.sweep, points).tried()
    header, rows = table(tried)
    assert [row[header.index("Score")] for row in rows] == ["0.2500", "0.3000", "0.5000", "–"]
    best = best_of(trials.sweep, tried)
    assert best is not None
    assert best.score == 0.25
    assert best.interval is not None
    assert best.interval.low == pytest.approx(0.25)
    assert best.lead is not None
    assert best.lead.difference == pytest.approx(-0.05)
    assert "validation score 0.2500 [0.2500, 0.2500] on S3; the next is 0.0500" in str(best)

    plan = best_plan(points, best, "tiny")
    file = tmp_path / "best.yaml"
    file.write_text(best_text(plan, best, "poise sweep --plan best.yaml"))
    read = load_plan(str(file))
    assert read == plan
    assert read.search is None
    assert "search" not in yaml.safe_load(file.read_text())
    specs = grid(read, MANIFESTS)
    assert [(spec.seed, spec.untested, spec.refit) for spec in specs] == [
        (3, False, True),
        (4, False, True),
    ]
    assert {spec.settings["dropout"] for spec in specs} == {0.1}
    assert read.resources.cpu == 2


def test_the_plan_we_ship_searches_what_the_network_has() -> None:
    plan = load_plan("search")
    assert isinstance(plan.search, SearchPart)
    Points(plan, dict.fromkeys(plan.tracks, "aaaa"))
