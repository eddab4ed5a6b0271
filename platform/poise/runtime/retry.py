"""Calls that are made again while Milvus is away."""

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from poise_retrieval.errors import StoreUnavailableError

log = logging.getLogger(__name__)

_BACKOFF = wait_exponential(multiplier=0.5, max=8)

T = TypeVar("T")


def retry(call: Callable[[], T], patience_s: float) -> T:
    """Call until Milvus answers; that it is away is said once.

    The waits between calls double from half a second to 8 seconds, and each is shortened by chance
    to between half and all of its length.

    Args:
        call: what to do; called at least once.
        patience_s: seconds from the first call after which no further call is made.

    Returns:
        What the call returns.

    Raises:
        StoreUnavailableError: that of the last call, when patience is at its end.
    """

    def left_s(state: RetryCallState) -> float:
        return patience_s - (state.seconds_since_start or 0.0)

    def wait_s(state: RetryCallState) -> float:
        # Not all at once: many writers lose the same Milvus at the same moment.
        jitter = random.uniform(0.5, 1.0)  # noqa: S311
        return min(_BACKOFF(state) * jitter, left_s(state))

    def tell(state: RetryCallState) -> None:
        level = logging.WARNING if state.attempt_number == 1 else logging.DEBUG
        log.log(level, "Milvus is away; trying for %.0f s more", left_s(state))

    return Retrying(
        retry=retry_if_exception_type(StoreUnavailableError),
        stop=lambda state: left_s(state) <= 0,
        wait=wait_s,
        before_sleep=tell,
        reraise=True,
    )(call)
