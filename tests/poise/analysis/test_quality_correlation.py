"""Correlations of the pose quality encoding, on frames whose errors are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.analysis.inputs import AnalysisInputs, load_inputs
from poise.analysis.quality_correlation import (
    FrameMeasures,
    branch_outputs,
    correlations,
    frame_errors,
    pearson,
    quality_frames,
    quality_plot,
    quality_table,
)
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.evaluation.metrics import pose_errors
from poise.runtime.errors import CheckpointError, DataError
from poise.runtime.settings import Settings
from poise_models import catalogue
from poise_models.base.refiner import Refiner

SMALL = {"width": 8, "feed_forward": 8, "heads": 2, "layers": 1, "dropout": 0.0}


def saved(folder: Path, lake: Path, **settings: object) -> str:
    """An untrained network as a checkpoint of the tiny lake."""
    refiner: Refiner = catalogue.build("synspp", pose_spec(TRACK), {**SMALL, **settings})
    card = ModelCard(str(TRACK), "synspp", refiner.settings(), lake=str(lake))
    save_checkpoint(refiner, card, str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder)
    return folder


def made_frames(quality_falls: bool) -> FrameMeasures:
    """Ten sequences whose quality is their error, turned round or not, and a little noise."""
    random = np.random.default_rng(0)
    error = random.uniform(10, 100, 400)
    quality = np.exp(-error / 100) if quality_falls else np.exp(error / 100)
    values = {
        "input error": error,
        "output error": error / 2 + random.normal(0, 1, 400),
        "quality": quality + random.normal(0, 0.01, 400),
        "disagreement": error / 10 + random.normal(0, 0.1, 400),
    }
    return FrameMeasures(np.repeat(np.arange(10), 40), values, "mm")


@pytest.mark.parametrize("falls", [True, False])
def test_the_sign_is_negative_where_quality_falls_as_the_error_rises(falls: bool) -> None:
    found = {(one.indicator, one.error): one for one in correlations(made_frames(falls))}
    for error in ("input error", "output error"):
        of_quality, of_gap = found["quality", error], found["disagreement", error]
        for name in ("frames", "within", "sequences"):
            assert getattr(of_quality, name) * (-1 if falls else 1) > 0.9
            assert getattr(of_gap, name) > 0.9


def test_the_coefficient_is_numpys() -> None:
    frames = made_frames(True)
    x, y = frames.values["quality"], frames.values["input error"]
    found = {(one.indicator, one.error): one for one in correlations(frames)}
    one = found["quality", "input error"]
    parts = [
        np.corrcoef(a, b)[0, 1] for a, b in zip(x.reshape(10, -1), y.reshape(10, -1), strict=True)
    ]
    assert one.frames == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert one.within == pytest.approx(np.mean(parts))
    means = np.corrcoef(x.reshape(10, -1).mean(1), y.reshape(10, -1).mean(1))[0, 1]
    assert one.sequences == pytest.approx(means)


def test_what_does_not_vary_is_refused() -> None:
    with pytest.raises(DataError, match="same in every frame"):
        pearson(np.ones(5), np.arange(5.0))


@pytest.mark.parametrize("name", ["uiprmd/kinect/3D", "jhmdb/simplebaseline/2D", "aist/vibe/3D"])
def test_the_mean_over_frames_is_mpjpe(name: str) -> None:
    info = Track.parse(name).info
    truth_FC, poses_FC = torch.randn(2, 30, info.joints * info.dims).unbind(0)
    mean = float(frame_errors(poses_FC, truth_FC, info).mean())
    assert mean == pytest.approx(pose_errors(poses_FC, truth_FC, info).mpjpe)


def frames_of(inputs: AnalysisInputs) -> FrameMeasures:
    return quality_frames(inputs.refiner, inputs.track, inputs.test, inputs.bank)


def test_a_network_is_measured_as_it_refines(tmp_path: Path, lake: Path) -> None:
    inputs = load_inputs(saved(tmp_path / "model", lake), Settings.load(home=tmp_path / "home"))
    frames = frames_of(inputs)
    clips = inputs.test.clips(inputs.bank)
    refined = inputs.refiner.refine(clips)
    quality = torch.cat([one.quality_F for one in refined if one.quality_F is not None])
    assert torch.allclose(torch.from_numpy(frames.values["quality"]).float(), quality, atol=1e-5)
    final_FC = branch_outputs(inputs.refiner, clips[0])[2]
    assert torch.allclose(final_FC, refined[0].poses_FC, atol=1e-4)
    found = correlations(frames)
    assert quality_table(found).count("\n") == 1 + len(found)
    assert quality_plot(frames).startswith(b"\x89PNG")
    test = replace(inputs.test, untrue={inputs.test.index.names[0]: [(13, 2, 3)]})
    known = frames_of(replace(inputs, test=test))
    kept = np.delete(np.arange(len(frames.sequence_F)), [2, 3, 4])
    for name, value_F in known.values.items():
        assert np.array_equal(value_F[kept], frames.values[name][kept])
    assert (known.values["input error"][2:5] != frames.values["input error"][2:5]).all()
    # A joint that no frame shows takes no frame with it; a root does.
    first, count = inputs.test.index.names[0], int(inputs.test.index.frames_S[0])
    for joint, left in ((13, len(kept) + 3), (0, len(kept) + 3 - count)):
        test = replace(inputs.test, untrue={first: [(joint, 0, count)]})
        assert len(frames_of(replace(inputs, test=test)).sequence_F) == left


def test_networks_without_quality_or_retrieval_are_refused(tmp_path: Path, lake: Path) -> None:
    settings = Settings.load(home=tmp_path / "home")
    plain = saved(tmp_path / "plain", lake, quality_encoding=False)
    with pytest.raises(CheckpointError, match="quality_encoding"):
        frames_of(load_inputs(plain, settings))
    alone = saved(tmp_path / "alone", lake, retrieval=False, distance_encoding=False)
    with pytest.raises(CheckpointError, match="with retrieval"):
        load_inputs(alone, settings)
