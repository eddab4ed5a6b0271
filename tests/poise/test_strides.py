import pytest

from poise.errors import CheckpointError
from poise.strides import set_stride
from poise_models import catalogue
from poise_models.refiner import PoseSpec, WindowRefiner


def test_a_stride_is_set_where_windows_cover_every_frame() -> None:
    network = catalogue.build("smoothnet", PoseSpec(4, 3), {"window": 8})
    assert isinstance(network, WindowRefiner)
    set_stride(network, 4)
    assert network.stride == 4
    set_stride(network, None)
    assert network.stride == 4
    for wrong in (0, 9):
        with pytest.raises(CheckpointError, match=r"1 \.\. 8"):
            set_stride(network, wrong)


def test_a_filter_has_no_stride() -> None:
    with pytest.raises(CheckpointError, match="no windows"):
        set_stride(catalogue.build("savgol", PoseSpec(4, 3)), 2)
