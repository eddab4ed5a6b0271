"""Tuning: any network, on people held out, from where it was cut off, and never for the worse."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.serving import save_untrained
from tests.support.small_refiners import NETWORKS, SMALL
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, load_checkpoint, pose_spec, save_checkpoint
from poise.experiments import finetune as tuning
from poise.experiments.finetune import Tuned, TunedFolder, TuneRequest, finetune
from poise.runtime.errors import CheckpointError, PlanError, PoiseError
from poise.runtime.settings import Settings
from poise_models import catalogue


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_tiny_lake(folder / "lake")
    return folder


def network(folder: Path, name: str = "poise", track: Track = TRACK) -> str:
    """Save a network that nobody trained."""
    torch.manual_seed(0)
    built = catalogue.build(name, pose_spec(track), SMALL[name])
    save_checkpoint(built, ModelCard(str(track), name, built.settings()), str(folder))
    return str(folder)


def tune(home: Path, model: str, out: Path, steps: int = 4, *hold_out: str) -> Tuned:
    return finetune(TuneRequest(model, TRACK, hold_out, steps, str(out)), Settings.load(home=home))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_tuned(name: str, home: Path, tmp_path: Path) -> None:
    model = network(tmp_path / "model", name)
    done = tune(home, model, tmp_path / "out")
    assert len(done.subjects) == 1
    tuned, card = load_checkpoint(str(tmp_path / "out"))
    assert (card.tuned_from, card.refiner, card.track) == (model, name, str(TRACK))
    assert tuned.settings() == load_checkpoint(model)[0].settings()
    scores = [epoch.metrics["score"] for epoch in TunedFolder(str(tmp_path / "out")).history()]
    assert card.metrics["score"] == min(scores)


def test_the_general_network_is_tuned_from_any_skeleton(home: Path, tmp_path: Path) -> None:
    model = network(tmp_path / "model", "general", Track.parse("pw3d/spin/3D"))
    tune(home, model, tmp_path / "out")
    tuned, card = load_checkpoint(str(tmp_path / "out"))
    assert (tuned.spec, card.track) == (pose_spec(TRACK), str(TRACK))


def test_it_learns_from_pairs(home: Path, tmp_path: Path) -> None:
    done = tune(home, network(tmp_path / "model"), tmp_path / "out", 60)
    assert done.step
    assert done.best[0] < done.before[0]


class CutOffError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("cut_after", [1, 2, 3])
def test_a_tuning_that_was_cut_off_ends_in_the_same_weights(
    cut_after: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(tmp_path / "model")
    monkeypatch.setattr(tuning, "_LOOK_STEPS", 2)
    whole = tune(home, model, tmp_path / "whole", 6)
    saved, save = 0, TunedFolder.save_epoch

    def cut(*given: Any) -> None:
        nonlocal saved
        save(*given)
        saved += 1
        if saved == cut_after:
            raise CutOffError

    monkeypatch.setattr(TunedFolder, "save_epoch", cut)
    with pytest.raises(CutOffError):
        tune(home, model, tmp_path / "cut", 6)
    monkeypatch.setattr(TunedFolder, "save_epoch", save)
    assert tune(home, model, tmp_path / "cut", 6) == whole
    one, other = (tmp_path / name / "weights.safetensors" for name in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()
    assert tune(home, model, tmp_path / "whole", 6) == whole  # nothing is left to do


def test_what_is_worse_on_those_held_out_is_not_kept(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(tmp_path / "model")
    monkeypatch.setattr(tuning, "_BUDGET", replace(tuning._BUDGET, learning_rate=5.0, warm_up=0))
    done = tune(home, model, tmp_path / "out", 20)
    assert (done.step, done.best) == (0, done.before)
    before, after = (load_checkpoint(one)[0].state_dict() for one in (model, str(tmp_path / "out")))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_constant_of_somebody_is_not_taken_along(home: Path, tmp_path: Path) -> None:
    model = network(tmp_path / "model")
    refiner, card = load_checkpoint(model)
    refiner.constant_C = torch.ones(51)
    save_checkpoint(refiner, card, model)
    tune(home, model, tmp_path / "out")
    assert load_checkpoint(str(tmp_path / "out"))[1].constant == []


def test_mistakes_are_named(home: Path, tmp_path: Path) -> None:
    model = network(tmp_path / "model")
    flat = network(tmp_path / "flat", track=Track.parse("h36m/hourglass/2D"))
    wrong: dict[str, tuple[type[PoiseError], tuple[Any, ...]]] = {
        "is Offset: networks can be": (
            CheckpointError,
            (save_untrained(tmp_path / "o", "offset"),),
        ),
        "whose joints are not those": (CheckpointError, (flat,)),
        "holds no checkpoint.json|neither a checkpoint": (PoiseError, (str(tmp_path / "a/b"),)),
        "no training subject Nobody": (PlanError, (model, tmp_path / "out", 4, "Nobody")),
        "holds a checkpoint": (PlanError, (model, tmp_path / "model")),
    }
    for message, (kind, (asked, *more)) in wrong.items():
        with pytest.raises(kind, match=message):
            tune(home, asked, *(more or [tmp_path / "out"]))
    tune(home, model, tmp_path / "mine")
    with pytest.raises(PlanError, match="holds another tuning"):
        tune(home, model, tmp_path / "mine", 5)
    assert json.loads((tmp_path / "mine" / "checkpoint.json").read_text())["tuned_from"] == model
