"""The general network with the weights that come with the package: nothing to train.

Weights lie beside this module, a checkpoint for poses in space and one for poses in images.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from safetensors.torch import load_file

from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.general.general import General, GeneralConfig

_FOLDERS: Final = {2: "2D", 3: "3D"}
_FILE: Final = "weights.safetensors"
_DIGITS: Final = 16


def folder(dims: int) -> Path | None:
    """Folder of the checkpoint for poses of so many dimensions; None where there is none."""
    return Path(__file__).parent / "weights" / _FOLDERS[dims] if dims in _FOLDERS else None


@cache
def _hash() -> str:
    content = hashlib.sha256()
    for place in filter(None, map(folder, _FOLDERS)):
        content.update((place / _FILE).read_bytes())
    return content.hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class ShippedConfig:
    """Which weights.

    Attributes:
        weights: the beginning of their SHA-256. Other versions of Poise have others, and a table
            tells their rows apart by it.
    """

    weights: str = field(default_factory=_hash)

    def __post_init__(self) -> None:
        if self.weights != _hash():
            raise ConfigError(
                f"poise:general: the weights {self.weights!r:.40} are another version's; this one "
                f"comes with {_hash()}"
            )


class ShippedGeneral(General):
    """The general network as it comes; `General` is the same, to be trained."""

    name = "poise:general"
    title = "Poise, general, as it comes"
    learns: ClassVar[bool] = False

    def __init__(self, spec: PoseSpec, config: ShippedConfig) -> None:
        """Build it for a skeleton's joints, weights and all.

        Raises:
            ConfigError: there are no weights for such poses.
        """
        super().__init__(spec, GeneralConfig())
        self.chosen = config
        place = folder(spec.dims)
        if place is None:
            raise ConfigError(
                f"{self.name}: refines the places of joints in 2D and 3D, not {spec.dims} numbers"
            )
        # Assigned: a checkpoint's size is checked on a network without memory for its weights.
        self.load_state_dict(load_file(place / _FILE), assign=True)

    def settings(self) -> dict[str, str]:
        """The weights' hash."""
        return {"weights": self.chosen.weights}
