"""Commands run in this process: what they make of the environment ends with the test."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from poise.runtime.settings import VARIABLES


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path) -> Iterator[None]:
    """No settings but a home of the test's own; environment, signals and logging are put back."""
    environment, terminate = dict(os.environ), signal.getsignal(signal.SIGTERM)
    handlers, level = list(logging.root.handlers), logging.root.level
    for variable in VARIABLES.values():
        os.environ.pop(variable, None)
    os.environ["POISE_HOME"] = str(tmp_path / "home")
    yield
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGTERM, terminate)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a Milvus that is not there only as long as it takes to see that."""
    monkeypatch.setattr("poise.pvd.collection._FIRST_PATIENCE_S", 0.1)
