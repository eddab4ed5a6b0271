"""Truth that nobody measured and ingest filled: trained on, and not scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation.evaluate import evaluate
from poise.lake.manifest import Filled, read_manifest, write_manifest
from poise.training_data.examples import examples, training_windows
from poise.training_data.split import load_split
from poise_models import catalogue
from poise_models.base.window_refiner import WindowRefiner


def test_filled_truth_is_not_scored(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    manifest = read_manifest(tmp_path, TRACK)
    refiner = catalogue.build("input", pose_spec(TRACK))
    whole = load_split(tmp_path, TRACK, "test")
    before = evaluate(refiner, examples(refiner, whole, None), TRACK, 0)
    name = whole.index.names[1]
    filled = [
        Filled("test", name, "truth", [(13, 2, 3)]),
        Filled("test", whole.index.names[0], "detected", [(13, 2, 3)]),
    ]
    write_manifest(tmp_path, replace(manifest, filled=filled))
    assert read_manifest(tmp_path, TRACK).filled == filled
    split = load_split(tmp_path, TRACK, "test")
    [(found, untrue_FJ)] = split.untrue_joints().items()
    assert found == name
    assert np.argwhere(untrue_FJ.numpy()).tolist() == [[2, 13], [3, 13], [4, 13]]
    assert split.take([0]).untrue_joints() == {}
    after = evaluate(refiner, examples(refiner, split, None), TRACK, 0)
    changed = [
        one[0] for one, other in zip(before.sequences, after.sequences, strict=True) if one != other
    ]
    assert changed == [name]


def test_networks_that_take_gaps_see_them_again(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    manifest = read_manifest(tmp_path, TRACK)
    name = load_split(tmp_path, TRACK, "train").index.names[1]
    # A joint for three frames; and nobody for twenty, which says not even where to look.
    gaps = [(13, 2, 3), *((joint, 15, 20) for joint in range(17))]
    write_manifest(tmp_path, replace(manifest, filled=[Filled("train", name, "detected", gaps)]))
    split = load_split(tmp_path, TRACK, "train")
    for refiner, lost in (("poise", 3), ("smoothnet", 0)):
        network = catalogue.build(refiner, pose_spec(TRACK))
        assert isinstance(network, WindowRefiner)
        clips = examples(network, split, None).clips
        lost_SF = [clip.detected_FC.isnan().sum().item() for clip in clips]
        assert lost_SF == [0, 3 * lost, *[0] * (len(clips) - 2)]
        windows = training_windows(network, split, None, "cpu")
        batch = windows.batch(torch.arange(len(windows)), torch.Generator().manual_seed(0))
        assert bool(batch.detected_BTC.isnan().any()) == bool(lost)
        found = evaluate(network, examples(network, split, None), TRACK, 0)
        assert np.isfinite(found.row.mpjpe)
    assert bool(split.detected_FC.isfinite().all())
