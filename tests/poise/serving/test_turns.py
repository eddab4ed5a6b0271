"""A thread that jobs share: who comes last does not wait for who came first."""

import asyncio
import threading
from collections.abc import Generator

import pytest

from poise.serving.turns import Steps, Turns, step_all


def counting(steps: int, done: list[str], name: str) -> Generator[None, None, str]:
    for _ in range(steps):
        yield
    done.append(name)
    return name


def test_a_short_job_ends_before_long_ones_that_came_first() -> None:
    done: list[str] = []

    async def run() -> None:
        turns = Turns("test", step_all)
        jobs = [("long", 5000), ("long", 5000), ("short", 3)]
        waits = [turns.finished(Steps(counting(steps, done, name))) for name, steps in jobs]
        assert await asyncio.gather(*waits) == ["long", "long", "short"]

    asyncio.run(run())
    assert done == ["short", "long", "long"]


def test_a_failing_job_fails_alone() -> None:
    def failing() -> Generator[None, None, None]:
        yield
        raise ValueError("this one")

    async def run() -> None:
        turns = Turns("test", step_all)
        other = asyncio.ensure_future(turns.finished(Steps(counting(10, [], "other"))))
        with pytest.raises(ValueError, match="this one"):
            await turns.finished(Steps(failing()))
        assert await other == "other"

    asyncio.run(run())


def test_whoever_goes_away_costs_no_more_steps() -> None:
    taken, first = 0, threading.Event()

    def endless() -> Generator[None, None, None]:
        nonlocal taken
        while True:
            taken += 1
            first.set()
            yield

    async def run() -> None:
        turns = Turns("test", step_all)
        waiting = asyncio.ensure_future(turns.finished(Steps(endless())))
        await asyncio.to_thread(first.wait)
        waiting.cancel()
        await turns.finished(Steps(counting(2, [], "after")))
        before = taken
        await turns.finished(Steps(counting(100, [], "later")))
        assert taken == before
        assert turns.step_s == 0 < turns.busy_s

    asyncio.run(run())


def test_a_step_that_fails_itself_is_told_and_ends_nothing_else() -> None:
    def broken(jobs: list[Steps]) -> None:
        if len(jobs) == 1 and jobs[0] is bad:
            raise RuntimeError("no step")
        step_all(jobs)

    bad = Steps(counting(1, [], "bad"))

    async def run() -> None:
        turns = Turns("test", broken)
        with pytest.raises(RuntimeError, match="no step"):
            await turns.finished(bad)
        assert await turns.finished(Steps(counting(1, [], "good"))) == "good"

    asyncio.run(run())
