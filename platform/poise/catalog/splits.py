"""The two splits of a track."""

from typing import Literal

Split = Literal["train", "test"]
#: Their order is part of every sequence's id.
SPLITS: tuple[Split, ...] = ("train", "test")
