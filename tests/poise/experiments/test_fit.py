"""Fitting: every refiner through one door, and on from where it was cut off."""

import pytest
import torch
from tests.support.small_refiners import NETWORKS, SMALL
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import pose_spec
from poise.experiments.fit import EpochReport, FitRequest, Pause, fit
from poise.runtime.errors import LakeError
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit, load_split
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.base.refiner import Refiner

BUDGET = Budget(epochs=3, batch=32, steps_per_epoch=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrackSplit:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return load_split(folder, TRACK, "train")


def refiner(name: str) -> Refiner:
    torch.manual_seed(0)
    return catalogue.build(name, pose_spec(TRACK), SMALL.get(name, {}))


def request(whole: TrackSplit, held: str) -> FitRequest:
    return FitRequest(whole.without([held]), whole.only([held]), whole.bank(), BUDGET)


def reports(
    name: str, whole: TrackSplit, upto: int = 99, resume: bytes | None = None
) -> tuple[list[EpochReport], Refiner]:
    held = sorted(set(whole.index.subjects))[-1]
    built = refiner(name)
    found = []
    for report in fit(built, request(whole, held), resume):
        assert isinstance(report, EpochReport)
        found.append(report)
        if report.epoch == upto:
            break
    return found, built


@pytest.mark.parametrize("name", catalogue.names())
def test_every_refiner_fits(name: str, whole: TrackSplit) -> None:
    found, built = reports(name, whole)
    network = name in NETWORKS
    assert [r.epoch for r in found] == ([1, 2, 3] if network else [1])
    assert found[-1].done
    assert all(r.validation is not None and r.validation.mpjpe > 0 for r in found)
    assert all((r.loss is not None) == network for r in found)
    if name.startswith("offset"):
        assert built.get_buffer("offset_C").abs().sum() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_resumed_fit_reports_what_an_uninterrupted_one_does(name: str, whole: TrackSplit) -> None:
    straight, _ = reports(name, whole)
    first, _ = reports(name, whole, upto=1)
    rest, _ = reports(name, whole, resume=first[0].state)
    assert [r.epoch for r in rest] == [2, 3]
    for a, b in zip(straight[1:], rest, strict=True):
        assert (a.loss, a.validation) == (b.loss, b.validation)


def test_more_neighbours_than_the_lake_has_are_refused_before_training(whole: TrackSplit) -> None:
    built = catalogue.build("synsp", pose_spec(TRACK), {"views": 5, "partners": "similar"})
    with pytest.raises(LakeError, match="synsp reads 4 neighbours of a window, and the lake has 3"):
        next(fit(built, FitRequest(whole, None, whole.bank(), BUDGET)))
    with pytest.raises(LakeError, match="reads 4 neighbours"):
        examples(built, whole, whole.bank())


def test_a_fit_that_pauses_goes_on_from_the_very_step(whole: TrackSplit) -> None:
    straight, _ = reports("synspp", whole)
    held = sorted(set(whole.index.subjects))[-1]
    state: bytes | None = None
    found: list[EpochReport] = []
    pauses = 0
    while not found or not found[-1].done:
        built = refiner("synspp")
        steps = fit(built, request(whole, held), state, pause_s=0.0)
        step = next(steps)
        state = step.state
        if isinstance(step, Pause):
            pauses += 1
            assert 0 < step.steps < step.of
        else:
            found.append(step)
    assert pauses == BUDGET.epochs * 3
    for a, b in zip(straight, found, strict=True):
        assert (a.loss, a.validation) == (b.loss, b.validation)
