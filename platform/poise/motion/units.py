"""What the numbers of a keypoint file may be in, and which way its axes may point."""

from typing import Literal

Unit = Literal["mm", "cm", "m", "px", "normalised"]
Axis = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
