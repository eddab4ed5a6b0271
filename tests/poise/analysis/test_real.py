"""Every refiner on data that none was trained on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.serving import save_untrained

from poise.analysis import contenders
from poise.analysis.contenders import Sequences
from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import CheckpointError

TRACK = Track.parse("uiprmd/kinect/3D")
CMU = Track.parse("cmu/simulated/3D")
IMAGE = Track.parse("h36m/hourglass/2D")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people whose detections jitter by 10 mm, and for training two whose jitter by 100."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split, jitter in (("train", 0.1), ("test", 0.01)):
        made = []
        for one in sequences(split, Size(2, 1, 60)):
            assert one.truth_FC is not None
            noise_FC = random.normal(size=one.truth_FC.shape).astype(np.float32)
            made.append(replace(one, detected_FC=one.truth_FC + np.float32(jitter) * noise_FC))
        write_smoothnet(folder, TRACK, split, made)
    return folder


def test_a_turned_track_stands_as_the_models_home_does() -> None:
    turn = contenders.turn(TRACK.info, CMU.info)
    assert (torch.eye(3)[2] @ turn).tolist() == [0, 1, 0]  # z up becomes y up
    assert torch.linalg.det(turn) == 1
    assert torch.equal(contenders.turn(CMU.info, CMU.info), torch.eye(3))
    assert torch.equal(contenders.turn(IMAGE.info, CMU.info), torch.eye(2))


def test_turning_changes_no_figure(data: Path) -> None:
    test = Sequences.read(data, TRACK, "test")
    as_it_is = contenders.plain(TRACK, "butterworth")
    here, there = test.score(as_it_is), test.score(replace(as_it_is, home=CMU))
    assert there.row.mpjpe == pytest.approx(here.row.mpjpe, rel=1e-5)
    assert here.motion is not None
    assert there.motion is not None
    assert there.motion.range_kept == pytest.approx(here.motion.range_kept, rel=1e-5)


def test_filters_are_tuned_on_the_training_subjects(data: Path) -> None:
    train, test = (Sequences.read(data, TRACK, split) for split in ("train", "test"))
    rough, fine = (contenders.tuned(TRACK, "gaussian1d", on, (100, 100)) for on in (train, test))
    assert rough.refiner.config.sigma > fine.refiner.config.sigma
    assert "tuned: sigma" in rough.label


def test_a_model_of_other_joints_is_refused(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "model", "poise", IMAGE)
    with pytest.raises(CheckpointError, match="other joints"):
        contenders.model(str(folder), "", TRACK)


def test_a_model_for_any_skeleton_is_not_turned(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "model", "general", CMU)
    found = contenders.model(folder, "", TRACK)
    assert (found.home, found.learnt_on) == (None, CMU)
    folder = save_untrained(tmp_path / "other", "poise", CMU)
    found = contenders.model(folder, "", TRACK)
    assert (found.home, found.learnt_on) == (CMU, CMU)


def test_the_command_compares_filters_and_models(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_untrained(tmp_path / "model", "poise", CMU)
    given = ["--data", str(data), "--track", str(TRACK), "--model", str(folder)]
    rows = tmp_path / "rows.json"
    assert main(["analyse", "real", *given, "--home", str(tmp_path), "--json", str(rows)]) == 0
    said = capsys.readouterr().out
    assert "Poise (cmu/simulated/3D, seed 0) loses" in said
    found = json.loads(rows.read_text())
    assert [row["learnt"] for row in found] == [False] * 9 + [True]
    assert found[0]["motion"]["peak_kept"] > found[1]["motion"]["peak_kept"] > 0
    assert len(found[0]["sequences"]) == 2
