"""What this process is doing, so that another thread can say it while the work goes on.

Work says where it is by an assignment or two, which costs nothing; whoever wants to know asks
`now`. A process does one piece of work at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

#: What is counted inside a turn, how many are done, and of how many.
Count = tuple[str, int, int]


@dataclass(frozen=True)
class Activity:
    """What is being done.

    Attributes:
        stage: in words, such as ``training``.
        turn: what goes round in it, such as ``epoch``; empty where nothing does.
        number: the turn under way, from 1.
        turns: how many there are.
        part: what is counted inside a turn, such as ``step``; empty where nothing is.
        done: how many of them are done.
        of: how many there are.
    """

    stage: str = ""
    turn: str = ""
    number: int = 0
    turns: int = 0
    part: str = ""
    done: int = 0
    of: int = 0

    def __str__(self) -> str:
        """Return it in words: ``training, epoch 3/30, step 120/800``."""
        turn = f"{self.turn} {self.number}/{self.turns}" if self.turn else ""
        part = f"{self.part} {self.done:,}/{self.of:,}" if self.part else ""
        return ", ".join(text for text in (self.stage, turn, part) if text)


_stage = ""
_turn: Count = ("", 0, 0)
_count: Callable[[], Count] | None = None


def stage(name: str) -> None:
    """Begin another kind of work."""
    global _stage
    turn("", 0, 0)
    _stage = name


def turn(what: str, number: int, turns: int) -> None:
    """Begin the next turn of the work."""
    global _turn, _count
    _turn, _count = (what, number, turns), None


def counted(what: str, done: int, of: int) -> None:
    """Say how many parts of the turn are done."""
    follow(lambda: (what, done, of))


def follow(count: Callable[[], Count]) -> None:
    """Say who knows how many parts of the turn are done, for work that counts them anyway."""
    global _count
    _count = count


def now() -> Activity:
    """Return what is being done."""
    part = _count() if _count is not None else ("", 0, 0)
    return Activity(_stage, *_turn, *part)
