"""What SynSP and SynSP++ share: the pose quality encoding, and a setting."""

import pytest
import torch

from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.networks.synergy import pose_quality
from poise_models.networks.synsp import SynSPConfig
from poise_models.networks.synspp import SynSPPConfig

SPEC = PoseSpec(17, 3)


def test_quality_is_highest_where_the_branches_agree() -> None:
    position = torch.zeros(1, 8, 51)
    smooth = torch.zeros(1, 8, 51)
    smooth[0, 3] = 1.0
    quality = pose_quality(position, smooth, SPEC, "frames")[0]
    assert quality[3] == pytest.approx(torch.e**-1, abs=1e-4)
    assert quality[0] == pytest.approx(1.0, abs=1e-4)
    assert quality.argmin() == 3


def test_quality_of_branches_that_coincide() -> None:
    same = torch.randn(1, 8, 51)
    quality = pose_quality(same, same, SPEC, "frames")
    torch.testing.assert_close(quality, torch.full((1, 8), 0.9048), atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [SynSPConfig, SynSPPConfig])
@pytest.mark.parametrize("smoothness", [-0.1, float("inf"), float("nan")])
def test_smoothness_is_a_finite_factor(
    config: type[SynSPConfig | SynSPPConfig], smoothness: float
) -> None:
    with pytest.raises(ConfigError, match="smoothness must be finite"):
        config(smoothness=smoothness)
