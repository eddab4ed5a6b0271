import time

import pytest

from poise.runtime.retry import retry
from poise_retrieval.errors import RefusedError, StoreUnavailableError


class Flaky:
    """Fails as often as it is told to, then answers; counts its calls."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.left, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "answer"


def test_answer_after_two_failures(caplog: pytest.LogCaptureFixture) -> None:
    call = Flaky(2, StoreUnavailableError("refused"))
    assert retry(call, patience_s=30) == "answer"
    assert call.calls == 3
    assert caplog.messages == ["Milvus is away; trying for 30 s more"]


def test_last_error_is_raised_in_time() -> None:
    call = Flaky(99, StoreUnavailableError("refused"))
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="refused"):
        retry(call, patience_s=0.6)
    assert 0.6 <= time.monotonic() - begin < 1.5
    assert call.calls >= 2


def test_without_patience_there_is_one_call() -> None:
    call = Flaky(1, StoreUnavailableError("refused"))
    with pytest.raises(StoreUnavailableError):
        retry(call, patience_s=0)
    assert call.calls == 1


def test_other_errors_are_not_retried() -> None:
    call = Flaky(1, RefusedError(65535, "no"))
    with pytest.raises(RefusedError):
        retry(call, patience_s=30)
    assert call.calls == 1
