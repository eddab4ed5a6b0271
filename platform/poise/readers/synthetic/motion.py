"""Band-limited joint rotations of several kinds of movement.

A movement is a table of angles, (F, J, 3) rotation vectors in radians about the parent's axes:
about x a negative angle swings a hanging limb forward, about z a positive one swings it left.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.readers.synthetic.body import JOINTS

_ID: Final = {name: place for place, name in enumerate(JOINTS)}
_SIDES: Final = (("left", 1.0, 0.0), ("right", -1.0, np.pi))
Angles = NDArray[np.float64]


def rotations(kind: str, frames: int, fps: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """Draw one performance of a movement; pace, size, phase and sway are random.

    Args:
        kind: one of `KINDS`.
        frames: F, any number.
        fps: frames a second.
        draw: random generator.

    Returns:
        (F, J, 3, 3) rotations in the parents' frames.
    """
    seconds_F = np.arange(frames) / fps
    angles_FJ3 = 0.05 * _wander(seconds_F, (len(JOINTS), 3), 0.8, draw)
    angles_FJ3[:, _ID["pelvis"], 1] += draw.normal(0.0, 0.4)
    for side, sign, _ in _SIDES:
        angles_FJ3[:, _ID[f"{side}_elbow"], 0] -= 0.25
        angles_FJ3[:, _ID[f"{side}_shoulder"], 2] += 0.12 * sign
    _MOVEMENTS[kind](angles_FJ3, seconds_F, draw)
    # The angle of a joint acts on what hangs below it, so wrist, ankle and head rows do nothing.
    flat = Rotation.from_rotvec(angles_FJ3.reshape(-1, 3)).as_matrix()
    return flat.reshape(frames, len(JOINTS), 3, 3)


def _wander(
    seconds_F: NDArray[np.float64],
    shape: tuple[int, ...],
    limit_hz: float,
    draw: np.random.Generator,
) -> Angles:
    """Slow random signals of unit size, (F, *shape): six sines below the limit."""
    hertz = draw.uniform(0.05, limit_hz, (6, *shape))
    phase = draw.uniform(0.0, 2 * np.pi, (6, *shape))
    total: Angles = np.zeros((len(seconds_F), *shape))
    for one_hertz, one_phase in zip(hertz, phase, strict=True):
        total += np.sin(2 * np.pi * np.multiply.outer(seconds_F, one_hertz) + one_phase) / 3**0.5
    return total


def _beat(seconds_F: NDArray[np.float64], hertz: float, draw: np.random.Generator) -> Angles:
    """Phase of a repeated movement whose pace drifts a little, (F,) radians."""
    phase_F: Angles = 0.3 * _wander(seconds_F, (), 0.3, draw)
    phase_F += 2 * np.pi * hertz * seconds_F + draw.uniform(0.0, 2 * np.pi)
    return phase_F


def _lift(phase_F: Angles) -> Angles:
    """Smooth rise and fall between 0 and 1."""
    return 0.5 - 0.5 * np.cos(phase_F)


def _gait(angles_FJ3: Angles, seconds_F: Angles, draw: np.random.Generator) -> None:
    phase_F = _beat(seconds_F, draw.uniform(0.7, 1.1), draw)
    stride, swing, knee = draw.uniform((0.35, 0.3, 0.8), (0.55, 0.6, 1.1))
    for side, _, lag in _SIDES:
        angles_FJ3[:, _ID[f"{side}_hip"], 0] -= stride * np.sin(phase_F + lag)
        angles_FJ3[:, _ID[f"{side}_knee"], 0] += knee * _lift(phase_F + lag + 0.9) ** 2
        angles_FJ3[:, _ID[f"{side}_shoulder"], 0] += swing * np.sin(phase_F + lag)
        angles_FJ3[:, _ID[f"{side}_elbow"], 0] -= 0.3 * _lift(phase_F + lag)
    angles_FJ3[:, _ID["spine"], 1] += 0.12 * np.sin(phase_F)


def _reach(angles_FJ3: Angles, seconds_F: Angles, draw: np.random.Generator) -> None:
    lift_F = _lift(_beat(seconds_F, draw.uniform(0.25, 0.5), draw))
    chosen = (_SIDES[:1], _SIDES[1:], _SIDES)[draw.integers(3)]
    forward, outward = draw.uniform((0.6, 0.0), (2.4, 1.2))
    for side, sign, _ in chosen:
        angles_FJ3[:, _ID[f"{side}_shoulder"], 0] -= forward * lift_F
        angles_FJ3[:, _ID[f"{side}_shoulder"], 2] += outward * sign * lift_F
        angles_FJ3[:, _ID[f"{side}_elbow"], 0] -= 0.8 * lift_F * (1.0 - lift_F)
    angles_FJ3[:, _ID["spine"], 0] += 0.3 * lift_F


def _squat(angles_FJ3: Angles, seconds_F: Angles, draw: np.random.Generator) -> None:
    depth_F = draw.uniform(0.5, 1.0) * _lift(_beat(seconds_F, draw.uniform(0.25, 0.45), draw))
    for side, sign, _ in _SIDES:
        angles_FJ3[:, _ID[f"{side}_hip"], 0] -= 1.5 * depth_F
        angles_FJ3[:, _ID[f"{side}_hip"], 2] += 0.15 * sign * depth_F
        angles_FJ3[:, _ID[f"{side}_knee"], 0] += 1.9 * depth_F
        angles_FJ3[:, _ID[f"{side}_shoulder"], 0] -= 1.3 * depth_F
    angles_FJ3[:, _ID["pelvis"], 0] += 0.4 * depth_F
    angles_FJ3[:, _ID["spine"], 0] += 0.3 * depth_F


def _turn(angles_FJ3: Angles, seconds_F: Angles, draw: np.random.Generator) -> None:
    _gait(angles_FJ3, seconds_F, draw)
    angles_FJ3[:, _ID["pelvis"], 1] += 1.2 * _wander(seconds_F, (), 0.25, draw)


def _dance(angles_FJ3: Angles, seconds_F: Angles, draw: np.random.Generator) -> None:
    size = draw.uniform(0.12, 0.25)
    angles_FJ3 += size * _wander(seconds_F, (len(JOINTS), 3), 1.1, draw)
    phase_F = _beat(seconds_F, draw.uniform(0.6, 1.1), draw)
    for side, sign, lag in _SIDES:
        angles_FJ3[:, _ID[f"{side}_shoulder"], 2] += sign * (0.6 + 0.6 * np.sin(phase_F + lag))
        angles_FJ3[:, _ID[f"{side}_knee"], 0] += 0.5 * _lift(phase_F + lag)
        angles_FJ3[:, _ID[f"{side}_elbow"], 0] -= 0.7 * _lift(phase_F)
    angles_FJ3[:, _ID["pelvis"], 1] += 0.4 * np.sin(phase_F / 2)


_MOVEMENTS: Final[dict[str, Callable[[Angles, Angles, np.random.Generator], None]]] = {
    "gait": _gait,
    "reach": _reach,
    "squat": _squat,
    "turn": _turn,
    "dance": _dance,
}
KINDS: Final = tuple(_MOVEMENTS)
