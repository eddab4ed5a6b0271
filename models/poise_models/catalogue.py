"""All refiners by name, built from plain settings."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.base.setting_kinds import check_kinds
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError, RefinerError, UnknownRefinerError
from poise_models.filters.butterworth import Butterworth, ButterworthConfig
from poise_models.filters.gaussian import Gaussian1d, Gaussian1dConfig
from poise_models.filters.input import Input, InputConfig
from poise_models.filters.linear import Linear, LinearConfig
from poise_models.filters.offset import Offset, OffsetConfig, OffsetGaussian, OffsetGaussianConfig
from poise_models.filters.one_euro import OneEuro, OneEuroConfig
from poise_models.filters.savitzky_golay import SavitzkyGolay, SavitzkyGolayConfig
from poise_models.general.general import General, GeneralConfig
from poise_models.general.shipped import ShippedConfig, ShippedGeneral
from poise_models.networks.deciwatch import DeciWatch, DeciWatchConfig
from poise_models.networks.gfpose import GFPose, GFPoseConfig
from poise_models.networks.hanet import HANet, HANetConfig
from poise_models.networks.poise import Poise, PoiseConfig
from poise_models.networks.smoothnet import SmoothNet, SmoothNetConfig
from poise_models.networks.synsp import SynSP, SynSPConfig
from poise_models.networks.synspp import SynSPP, SynSPPConfig

_REFINERS: dict[str, tuple[type[Any], type[Any]]] = {
    refiner.name: (refiner, config)
    for refiner, config in (
        (Input, InputConfig),
        (Offset, OffsetConfig),
        (OffsetGaussian, OffsetGaussianConfig),
        (OneEuro, OneEuroConfig),
        (Gaussian1d, Gaussian1dConfig),
        (SavitzkyGolay, SavitzkyGolayConfig),
        (Butterworth, ButterworthConfig),
        (Linear, LinearConfig),
        (GFPose, GFPoseConfig),
        (SmoothNet, SmoothNetConfig),
        (DeciWatch, DeciWatchConfig),
        (HANet, HANetConfig),
        (SynSP, SynSPConfig),
        (SynSPP, SynSPPConfig),
        (Poise, PoiseConfig),
        (General, GeneralConfig),
        (ShippedGeneral, ShippedConfig),
    )
}


def names() -> tuple[str, ...]:
    """Every refiner's name, in the order tables print them."""
    return tuple(_REFINERS)


def title(name: str) -> str:
    """A refiner's name as tables print it."""
    return str(_entry(name)[0].title)


def learns(name: str) -> bool:
    """Whether the refiner has to be trained before it is of use."""
    return bool(_entry(name)[0].learns)


def trains(name: str) -> bool:
    """Whether the refiner is a network that learns by gradient within a budget."""
    return issubclass(_entry(name)[0], WindowRefiner) and learns(name)


def published(name: str) -> Budget:
    """The training its authors describe, of a refiner that `trains`."""
    network = _entry(name)[0]
    budget: Budget = network.published
    return budget


def build(name: str, spec: PoseSpec, settings: Mapping[str, Any] | None = None) -> Refiner:
    """Build a refiner with untrained weights.

    Args:
        name: one of `names`.
        spec: what a frame is.
        settings: fields of the refiner's configuration that differ from its defaults.

    Raises:
        UnknownRefinerError: there is no such refiner.
        ConfigError: a setting is unknown or makes no sense.
    """
    refiner, config = _entry(name)
    settings = dict(settings or {})
    check_settings(name, settings)
    try:
        built: Refiner = refiner(spec, config(**settings))
    except RefinerError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return built


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Check that a refiner has some settings, without building it.

    Raises:
        UnknownRefinerError: there is no such refiner.
        ConfigError: settings are unknown, all of which it names, or one is of another kind.
    """
    _, config = _entry(name)
    known = [field.name for field in fields(config)]
    unknown = [repr(key) for key in settings if key not in known]
    if unknown:
        have = ", ".join(known) or "no settings"
        raise ConfigError(f"{name} has no setting {', '.join(unknown)}; it has {have}")
    check_kinds(name, config, settings)


def _entry(name: str) -> tuple[type[Any], type[Any]]:
    if name not in _REFINERS:
        close = difflib.get_close_matches(name, _REFINERS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UnknownRefinerError(f"no refiner {name!r}{hint}; there are {', '.join(_REFINERS)}")
    return _REFINERS[name]
