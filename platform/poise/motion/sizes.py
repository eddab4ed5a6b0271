"""The size of an image or a video, as files say it beside their frames."""

import re
from typing import Any, Final, TypeGuard

_HEADS: Final = ("metadata", "meta", "info", "header", "video", "image", "video_info", "videoInfo")
_WIDTH: Final = re.compile(r"(image|img|frame|video|original)?_?width", re.IGNORECASE)
_PAIRS: Final = ("resolution", "image_size", "imageSize", "frame_size", "video_size", "size")
_LEAST, _MOST = 16, 10**6


def image_size(document: Any) -> tuple[float, float] | None:
    """Return width and height in pixels that a JSON document says; None where it says none."""
    if not isinstance(document, dict):
        return None
    for part in (document, *(document.get(key) for key in _HEADS)):
        if isinstance(part, dict) and (found := _size(part)):
            return found
    return None


def _size(part: dict[str, Any]) -> tuple[float, float] | None:
    for key, width in part.items():
        if _WIDTH.fullmatch(key):
            height = part.get(re.sub("width", "height", re.sub("Width", "Height", key)))
            if _is_side(width) and _is_side(height):
                return float(width), float(height)
    for key in _PAIRS:
        pair = part.get(key)
        if isinstance(pair, list) and len(pair) == 2 and all(map(_is_side, pair)):
            return float(pair[0]), float(pair[1])
    return None


def _is_side(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and _LEAST <= value <= _MOST
