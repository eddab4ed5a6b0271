"""Bodies that ``POST /v1/refine`` refuses, with the status and the field that is named."""

import json
from typing import Any

import numpy as np
from tests.support.serving import clip

from poise.serving.schema import MAX_FRAMES

FLAT = clip(4).tolist()
NESTED = clip(4).reshape(4, 17, 3).tolist()


def wrong(change: Any) -> str:
    """Nested poses with one number replaced, as JSON text."""
    changed = json.loads(json.dumps(NESTED))
    changed[3][5][2] = change
    return json.dumps({"poses": changed})


BAD = {
    "infinite": (wrong(0).replace(", 0]", ", 1e999]", 1), 422, "poses[3][5][2]"),
    "beyond float32": (wrong(1e39), 422, "poses[3][5][2]"),
    "nobody": (json.dumps({"poses": np.zeros((4, 51)).tolist()}), 422, "poses"),
    "nulls": (json.dumps({"poses": [None] * 4}), 422, "poses"),
    "text": (wrong("1.0"), 422, "poses[3][5][2]"),
    "boolean": (wrong(True), 422, "poses[3][5][2]"),
    "no poses": ("{}", 422, "poses"),
    "null poses": ('{"poses": null}', 422, "poses"),
    "no frames": ('{"poses": []}', 422, "poses"),
    "an empty frame": ('{"poses": [[]]}', 422, "poses[0]"),
    "text for poses": ('{"poses": "standing"}', 422, "poses"),
    "ragged frames": (json.dumps({"poses": [FLAT[0], FLAT[1][:5]]}), 422, "poses"),
    "ragged joints": (json.dumps({"poses": [NESTED[0], [[0, 0]] * 17]}), 422, "poses"),
    "other joints": (json.dumps({"poses": [frame[:16] for frame in NESTED]}), 422, "poses"),
    "millimetres": (json.dumps({"poses": (1000 * clip(4)).tolist()}), 422, "poses"),
    "too many frames": (json.dumps({"poses": [[0] * 51] * (MAX_FRAMES + 1)}), 422, "poses"),
    "a frame rate of zero": (json.dumps({"poses": FLAT, "fps": 0}), 422, "fps"),
    "another track": (
        json.dumps({"poses": FLAT, "model": "untrained", "track": "h36m/fcn/3D"}),
        422,
        "track",
    ),
    "no track": (json.dumps({"poses": FLAT, "track": "h36m"}), 422, "track"),
    "a misspelt key": (json.dumps({"poses": FLAT, "modle": "x"}), 422, "modle"),
    "a list": ("[]", 422, "body"),
    "nothing": ("", 422, "body"),
    "half a body": ('{"poses": [[', 422, "body"),
}
