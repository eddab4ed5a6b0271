"""What a service is compared with: the same refiner here, with gaps and neighbours or without."""

from pathlib import Path

import pytest
import torch
from tests.support import tiny_lake as tinylake
from tests.support.serving import save_untrained

from poise.checkpoints.checkpoint import load_checkpoint
from poise.serving.service_check import refined_offline
from poise.training_data.split import load_split


@pytest.mark.parametrize("refiner", ["synspp", "poise", "smoothnet", "gaussian1d"])
def test_every_kind_of_refiner_is_refined_offline(refiner: str, tmp_path: Path) -> None:
    tinylake.write_tiny_lake(tmp_path / "lake")
    built, _ = load_checkpoint(save_untrained(tmp_path / "model", refiner))
    test = load_split(str(tmp_path / "lake"), tinylake.TRACK, "test")
    refined = refined_offline(built, str(tmp_path / "lake"), tinylake.TRACK, test)
    assert [one.poses_FC.shape for one in refined] == [one.shape for one in test.detected()]
    assert all(torch.isfinite(one.poses_FC).all() for one in refined)
