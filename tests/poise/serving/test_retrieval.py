"""A retriever that fails, comes back, and is replaced by another."""

import threading
import time
from typing import Any, Literal

import pytest
import torch
from tests.support.serving import clip
from torch import Tensor

from poise.serving import retrieval as retrieval_module
from poise.serving.retrieval import ReconnectingRetriever
from poise_models.base.windows import unfold
from poise_retrieval.errors import StoreUnavailableError, VectorError


class MadeUpFinder:
    search_backend: Literal["index", "milvus"] = "index"

    def __init__(self, distance: float = 1.0) -> None:
        self.error: Exception | None = None
        self.distance = distance
        self.outdated = self.closed = False

    def stale(self) -> bool:
        return self.outdated

    def close(self) -> None:
        self.closed = True

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor]:
        if self.error is not None:
            raise self.error
        return detected_NTC[:, None], torch.full((len(detected_NTC), 1), self.distance)


def _until(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_retrieval_is_taken_back_after_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_module, "RETRY_FIRST_S", 0.05)
    finder, attempts = MadeUpFinder(), 0

    def opened() -> MadeUpFinder:
        nonlocal attempts
        attempts += 1
        if attempts in (1, 3):
            raise StoreUnavailableError("away")
        return finder

    retrieval = ReconnectingRetriever(opened)
    detected_NTC = unfold(torch.from_numpy(clip(9)), 8)
    assert retrieval.wait(5) == "unavailable"
    assert retrieval.find_windows(detected_NTC) is None
    assert _until(lambda: retrieval.state == "ready")
    assert retrieval.find_windows(detected_NTC) is not None
    finder.error = StoreUnavailableError("gone")
    assert retrieval.find_windows(detected_NTC) is None
    finder.error = None
    assert _until(lambda: retrieval.find_windows(detected_NTC) is not None)
    assert attempts == 4
    retrieval.close()


def test_one_unusable_sequence_does_not_cost_the_others_their_neighbours() -> None:
    finder, detected_NTC = MadeUpFinder(), unfold(torch.from_numpy(clip(9)), 8)
    retrieval = ReconnectingRetriever(lambda: finder)
    retrieval.wait(5)
    finder.error = VectorError("degenerate")
    assert retrieval.find_windows(detected_NTC) is None
    assert retrieval.state == "ready"
    retrieval.close()


def test_another_pvd_is_taken_in_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_module, "WATCH_S", 0.02)
    old, new = MadeUpFinder(1.0), MadeUpFinder(2.0)
    coming, ready = iter((old, new)), threading.Event()
    ready.set()
    attempts = []

    def opened() -> MadeUpFinder:
        attempts.append(1)
        ready.wait(5)
        if len(attempts) == 2:
            raise StoreUnavailableError("away just now")
        return next(coming)

    monkeypatch.setattr(retrieval_module, "RETRY_FIRST_S", 0.02)
    retrieval = ReconnectingRetriever(opened)
    assert retrieval.wait(5) == "ready"
    assert retrieval.search_backend == "index"
    detected_NTC = unfold(torch.from_numpy(clip(9)), 8)

    def distance() -> float:
        found = retrieval.find_windows(detected_NTC)
        assert found is not None, "a gap in service"
        return float(found[1][0, 0])

    ready.clear()
    old.outdated = True
    assert _until(lambda: len(attempts) == 2)
    assert distance() == 1.0
    ready.set()
    assert _until(lambda: distance() == 2.0)
    assert _until(lambda: old.closed)
    assert len(attempts) == 3
    retrieval.close()
