"""How long a client goes on asking."""

from itertools import count

import pytest

from poise.client.asking import gives_up, pause_s
from poise.client.errors import AwayError


@pytest.mark.parametrize(
    ("retry_after", "longest_s"), [(None, 60), ("60", 60), ("9" * 30, 60), ("1", 20)]
)
def test_it_is_a_minute_in_all(retry_after: str | None, longest_s: float) -> None:
    waited_s = 0.0
    for number in count():
        if gives_up(number, True, waited_s):
            break
        waited_s += pause_s(number, AwayError("busy"), retry_after, waited_s)
    assert 10 < waited_s <= longest_s
