"""How long and how fast a network is trained."""

from dataclasses import dataclass
from typing import Literal, get_args

from poise_models.errors import ConfigError

Schedule = Literal["step", "cosine"]
Optimiser = Literal["adam", "amsgrad", "adamw"]


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train; the defaults are SynSP++'s, as the paper has them.

    Attributes:
        epochs: passes over the data (or over ``steps_per_epoch`` batches).
        batch: windows a step.
        steps_per_epoch: None takes every window once an epoch.
        learning_rate: the optimiser's; decayed by ``decay`` after every epoch.
        schedule: ``step`` is the paper's decay; ``cosine`` falls over all steps to ``floor``,
            which short budgets want.
        optimiser: ``adam``, Adam with ``amsgrad``, or ``adamw`` (with amsgrad too).
        warm_up: share of all steps in which the learning rate rises from zero.
        floor: where a cosine ends, as a share of ``learning_rate``.
        clip: gradients longer than this are shortened to it; None leaves them.
        ema: decay of a running average of the weights, which is what is tested and kept (0 = off).
        scale: windows are scaled by a factor from [1 - scale, 1 + scale] (0 = off).
        mirror: every other window, by chance, has left and right swapped.
        heading: windows are turned about the vertical by an angle of at most so many radians, to
            either side (0 = off, 3.15 = any heading).
        bf16: matrix products in bfloat16 (autocast); the weights stay float32.
        compile: fuse the loss with torch.compile; for GPUs, on a CPU it is slower.
    """

    epochs: int = 30
    batch: int = 6000
    steps_per_epoch: int | None = None
    learning_rate: float = 1e-3
    decay: float = 0.9
    schedule: Schedule = "step"
    optimiser: Optimiser = "adam"
    warm_up: float = 0.0
    floor: float = 0.0
    clip: float | None = None
    ema: float = 0.0
    scale: float = 0.0
    mirror: bool = False
    heading: float = 0.0
    bf16: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or (self.steps_per_epoch or 1) < 1:
            raise ConfigError("epochs, batch and steps_per_epoch must be at least 1")
        if self.learning_rate <= 0 or not 0 < self.decay <= 1:
            raise ConfigError("learning_rate must be positive and decay lie in (0, 1]")
        for name, value, known in (
            ("schedule", self.schedule, get_args(Schedule)),
            ("optimiser", self.optimiser, get_args(Optimiser)),
        ):
            if value not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        for name in ("warm_up", "ema", "scale"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie in [0, 1)")
        if not 0 <= self.heading < 4:
            raise ConfigError("heading is in radians: it must lie in [0, 4)")
        if not 0 <= self.floor <= 1:
            raise ConfigError("floor must lie in [0, 1]")
        if self.clip is not None and self.clip <= 0:
            raise ConfigError("clip must be positive")
