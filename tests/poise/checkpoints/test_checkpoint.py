"""Checkpoints: the same output after a round trip, and a clear word about every damage."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.small_refiners import SMALL

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import (
    CARD,
    WEIGHTS,
    ModelCard,
    load_checkpoint,
    pose_spec,
    save_checkpoint,
)
from poise.runtime.errors import CheckpointError
from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.refiner import ClosedFormRefiner, Pair

TRACK = Track.parse("uiprmd/kinect/3D")


def saved(name: str, folder: Path) -> Any:
    torch.manual_seed(0)
    refiner = catalogue.build(name, pose_spec(TRACK), SMALL.get(name, {}))
    if isinstance(refiner, ClosedFormRefiner):
        refiner.fit([Pair("S1", torch.randn(30, 51), torch.randn(30, 51))])
    card = ModelCard(str(TRACK), name, refiner.settings(), seed=3, metrics={"mpjpe": 1.5})
    save_checkpoint(refiner, card, str(folder))
    return refiner


@pytest.mark.parametrize("name", catalogue.names())
def test_output_is_bit_identical_after_a_round_trip(name: str, tmp_path: Path) -> None:
    refiner = saved(name, tmp_path)
    loaded, card = load_checkpoint(str(tmp_path))
    clip = Clip(torch.randn(50, 51))
    before, after = refiner.eval().refine([clip])[0], loaded.refine([clip])[0]
    assert torch.equal(before.poses_FC, after.poses_FC)
    assert (card.track, card.refiner, card.seed) == (str(TRACK), name, 3)


@pytest.mark.parametrize("name", catalogue.names())
def test_a_constant_comes_back_and_can_be_taken_away(name: str, tmp_path: Path) -> None:
    refiner = saved(name, tmp_path)
    clip = Clip(torch.randn(50, 51))
    before_FC = refiner.eval().refine([clip])[0].poses_FC
    refiner.constant_C = torch.linspace(-0.1, 0.1, 51)
    card = ModelCard(str(TRACK), name, refiner.settings(), tuned_from="poise:general")
    save_checkpoint(refiner, card, str(tmp_path))
    loaded, card = load_checkpoint(str(tmp_path))
    assert card.tuned_from == "poise:general"
    torch.testing.assert_close(
        loaded.refine([clip])[0].poses_FC, before_FC - refiner.constant_C, atol=1e-5, rtol=0
    )
    loaded.constant_C = torch.zeros(51)
    save_checkpoint(loaded, card, str(tmp_path))
    assert load_checkpoint(str(tmp_path))[1].constant == []


def test_a_missing_checkpoint_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        load_checkpoint(str(tmp_path / "nowhere"))


def test_damage_is_named(tmp_path: Path) -> None:
    saved("synspp", tmp_path)
    good = json.loads((tmp_path / CARD).read_text())
    for change, word in (
        ({"format": 99}, "format 99"),
        ({"settings": {"width": 32}}, "does not fit"),
        ({"settings": {"colour": 1}}, "colour"),
        ({"refiner": "magic"}, "magic"),
        ({"extra": 1}, "extra"),
        ({"constant": [0.0] * 50}, "constant is not 51"),
        ({"constant": [float("nan")] * 51}, "constant"),
        ({"constant": ["a"] * 51}, "constant"),
    ):
        (tmp_path / CARD).write_text(json.dumps({**good, **change}))
        with pytest.raises(CheckpointError, match=word):
            load_checkpoint(str(tmp_path))
    (tmp_path / CARD).write_text("{")
    with pytest.raises(CheckpointError, match="no checkpoint card"):
        load_checkpoint(str(tmp_path))


def test_weights_that_are_a_pickle_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    saved("offset", tmp_path)
    (tmp_path / WEIGHTS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_checkpoint(str(tmp_path))
    assert not marker.exists()
