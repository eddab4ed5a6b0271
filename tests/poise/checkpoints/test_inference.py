import pytest
import torch

from poise.checkpoints.inference import prepare
from poise.runtime.errors import CheckpointError
from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import fade, overlap_add


def test_a_stride_is_set_where_windows_cover_every_frame() -> None:
    network = catalogue.build("smoothnet", PoseSpec(4, 3), {"window": 8})
    assert isinstance(network, WindowRefiner)
    prepare(network, 4)
    assert network.stride == 4
    assert network.weights_T == fade(8)
    prepare(network, None)
    assert network.stride == 4
    for wrong in (0, 9):
        with pytest.raises(CheckpointError, match=r"1 \.\. 8"):
            prepare(network, wrong)


def test_its_own_stride_leaves_the_plain_mean() -> None:
    network = catalogue.build("smoothnet", PoseSpec(4, 3), {"window": 8})
    assert isinstance(network, WindowRefiner)
    prepare(network, 1)
    assert network.weights_T is None


def test_windows_that_fade_leave_no_jumps() -> None:
    """Windows that err towards their edges: the plain mean of every other one has steps."""
    windows_NTC = torch.linspace(-1, 1, 8)[None, :, None].expand(97, -1, 1)
    plain, faded = (
        overlap_add(windows_NTC, 200, 2, weights)[8:-8].diff(n=2, dim=0).abs().mean()
        for weights in (None, fade(8))
    )
    assert faded < plain / 10


def test_a_filter_has_no_stride() -> None:
    with pytest.raises(CheckpointError, match="no windows"):
        prepare(catalogue.build("savgol", PoseSpec(4, 3)), 2)


def test_a_filter_is_not_compiled() -> None:
    with pytest.raises(CheckpointError, match="no network"):
        prepare(catalogue.build("savgol", PoseSpec(4, 3)), compiled=True)


def test_a_long_walk_is_not_compiled() -> None:
    walk = catalogue.build("gfpose", PoseSpec(4, 3), {"hidden": 64, "embedding": 4, "blocks": 1})
    with pytest.raises(CheckpointError, match="unroll every call"):
        prepare(walk, compiled=True)
