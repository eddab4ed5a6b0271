"""Small checkpoints that describe large networks are refused before these are built."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.bounded import Bounded
from tests.support.small_refiners import SMALL

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import (
    CARD,
    WEIGHTS,
    ModelCard,
    load_checkpoint,
    pose_spec,
    save_checkpoint,
)
from poise.runtime.errors import CheckpointError
from poise_models import catalogue

TRACK = Track.parse("uiprmd/kinect/3D")
MOST_SECONDS = 20.0
MOST_MIB = 700.0


def load(folder: str) -> str:
    return load_checkpoint(folder)[1].refiner


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bounded]:
    with Bounded() as process:
        folder = checkpoint(tmp_path_factory.mktemp("whole"), "synspp")
        assert process.call(load, str(folder)).value == "synspp"  # libraries are there from now on
        yield process


def checkpoint(folder: Path, name: str, **changes: Any) -> Path:
    torch.manual_seed(0)
    refiner = catalogue.build(name, pose_spec(TRACK), SMALL.get(name, {}))
    save_checkpoint(refiner, ModelCard(str(TRACK), name, refiner.settings()), str(folder))
    card = json.loads((folder / CARD).read_text())
    card["settings"] |= changes
    (folder / CARD).write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("smoothnet", {"blocks": 10**7}),
        ("smoothnet", {"blocks": 4000}),
        ("smoothnet", {"hidden": 4096, "residual": 4096, "blocks": 4}),
        ("gfpose", {"blocks": 10**7}),
        ("gfpose", {"blocks": 4000}),
        ("gfpose", {"hidden": 2**40}),
        ("gfpose", {"steps": 10**12}),
        ("synspp", {"layers": 10**7}),
        ("synspp", {"layers": 4000}),
        ("synspp", {"width": 10**6, "feed_forward": 10**6}),
        ("synsp", {"views": 4000, "window": 4000}),
        ("hanet", {"window": 10**9}),
        ("savgol", {"window": 10**9}),
        ("butterworth", {"order": 10**7}),
        ("gaussian1d", {"sigma": 1e12}),
        ("gaussian1d", {"sigma": float("nan")}),
        ("gaussian1d", {"sigma": float("inf")}),
    ],
)
def test_a_card_of_another_size_than_its_weights_is_refused(
    bounded: Bounded, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    found = bounded.call(load, str(checkpoint(tmp_path, name, **changes)))
    assert f"does not fit {name} on uiprmd/kinect/3D: " in found.refused
    assert "\n" not in found.refused
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB


def head(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


EMPTY = json.dumps(
    {f"{n:07d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)}
).encode()
HUGE = {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (lambda: head(EMPTY), "bytes say what it holds"),
        (lambda: struct.pack("<Q", 2**62), "bytes say what it holds"),
        (lambda: head(json.dumps({"a": HUGE}).encode()) + bytes(4), "does not fit"),
        (lambda: head(b"[" * 2**20), "does not fit"),
        (
            lambda: head(json.dumps({"\x1b[2J" * 999: HUGE | {"shape": [1]}}).encode()) + bytes(4),
            "",
        ),
        (lambda: b"", "does not fit"),
    ],
)
def test_weights_that_say_too_much_are_refused(
    bounded: Bounded, tmp_path: Path, weights: Callable[[], bytes], reason: str
) -> None:
    checkpoint(tmp_path, "synspp")
    (tmp_path / WEIGHTS).write_bytes(weights())
    found = bounded.call(load, str(tmp_path))
    assert found.refused
    assert reason in found.refused
    assert found.refused.isprintable()
    assert len(found.refused) < 700
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB


@pytest.mark.parametrize(
    "card",
    [
        b"[" * 100_000,
        b'{"settings": ' * 50_000,
        b" " * (2**20 + 1),
        b'{"track": 5, "refiner": [], "settings": {}}',
        b'{"track": "uiprmd/kinect/3D", "refiner": "synspp", "settings": [1]}',
        b'{"track": "uiprmd/kinect/3D", "refiner": "synspp", "settings": {"window": "8"}}',
        b'{"track": "uiprmd/kinect/3D", "refiner": "synspp", "settings": {"window": [8]}}',
        b'{"track": "uiprmd/kinect/3D", "refiner": "synspp", "settings": {"input": 7}}',
        b'{"track": "uiprmd/kinect/3D", "refiner": "synspp", "settings": {}, "seed": 1e99}',
        b'{"track": "../../etc/3D", "refiner": "synspp", "settings": {}}',
        b"\xff\xfe\x00",
    ],
)
def test_a_card_that_is_none_is_one_line(bounded: Bounded, tmp_path: Path, card: bytes) -> None:
    checkpoint(tmp_path, "synspp")
    (tmp_path / CARD).write_bytes(card)
    found = bounded.call(load, str(tmp_path))
    assert found.refused
    assert found.refused.isprintable()
    assert found.seconds < MOST_SECONDS
    assert found.mib < MOST_MIB


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensor: tensor * float("nan"), "not finite"),
        (lambda tensor: tensor.to(torch.complex64), "complex64"),
        (lambda tensor: tensor.to(torch.bool), "bool"),
    ],
)
def test_weights_that_are_no_numbers_of_a_network_are_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    folder = checkpoint(tmp_path, "smoothnet")
    weights = load_file(folder / WEIGHTS)
    save_file({name: change(tensor) for name, tensor in weights.items()}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(str(folder))
