"""What one frame of a track is: joints, dimensions, roots, and which sides there are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whoever asks what a track is has no use for it, and it takes seconds to import
    from torch import Tensor


@dataclass(frozen=True)
class LeftRightFlip:
    """The reflection that swaps people's left and right.

    Attributes:
        joints: for each joint the one of the other side, or itself.
        axis: of the D dimensions the one from right to left.
    """

    joints: tuple[int, ...]
    axis: int

    def __call__(self, poses_BTC: "Tensor") -> "Tensor":
        """Reflect poses (..., T, C) through the plane where the axis is 0."""
        poses_BTJD = poses_BTC.unflatten(-1, (len(self.joints), -1))[..., self.joints, :]
        sign_D = poses_BTC.new_ones(poses_BTJD.shape[-1])
        sign_D[self.axis] = -1.0
        flipped: Tensor = (poses_BTJD * sign_D).flatten(-2)
        return flipped


@dataclass(frozen=True)
class PoseSpec:
    """What one frame is.

    Attributes:
        joints: J.
        dims: D, numbers of a joint.
        roots: joints whose mean is the root.
        centre: whether a network sees a window relative to its mean detected root (3D), or as it
            stands (2D in its track's normalisation, SMPL rotations).
        flip: swaps left and right; None where the track does not say which axis runs from right
            to left.
        up: of the D dimensions the vertical one, about which people may be turned; None where the
            track does not say.
        names: of the joints; empty where nobody has named them.
    """

    joints: int
    dims: int
    roots: tuple[int, ...] = (0,)
    centre: bool = True
    flip: LeftRightFlip | None = None
    up: int | None = None
    names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """C = joints x dims."""
        return self.joints * self.dims

    @property
    def has_places(self) -> bool:
        """Whether its numbers are places, in space or in an image; rotations are none."""
        return self.dims in (2, 3)
