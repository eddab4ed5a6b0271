"""Work done piece by piece in Ray Data tasks, whose faults are told in a line."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.cloudpickle import dumps, loads

from poise.runtime.errors import DataError, PoiseError
from poise.runtime.places import cannot_write

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def in_tasks(
    work: Callable[[Piece], Answer], pieces: Sequence[Piece], where: str
) -> Iterator[tuple[int, Answer]]:
    """Do every piece in a task of its own, at most one a core of the cluster at a time.

    A task that dies with its process or its node is run again.

    Args:
        work: what to do; a function of a module.
        pieces: what to do it with; small, for they pass through this process.
        where: what is written to, for the message where that fails.

    Yields:
        Number and answer of each piece, as they come.

    Raises:
        DataError: as ``work``, or something cannot be written.
    """
    if not pieces:
        return
    # As bytes: Ray Data would look for a table in it, in vain.
    rows = [{"number": number, "piece": dumps(piece)} for number, piece in enumerate(pieces)]
    tasks = ray.data.from_items(rows, override_num_blocks=len(rows))
    done = tasks.map(answer, fn_kwargs={"work": dumps(work), "where": where})
    for row in done.iter_rows():
        if row["error"]:
            raise DataError(row["error"])
        yield int(row["number"]), loads(row["answer"])


def answer(row: dict[str, Any], work: bytes, where: str) -> dict[str, Any]:
    """Do a piece; what goes wrong is a part of the answer."""
    # Ray would wrap an error, and log a page about it: it travels as an answer instead.
    done, error = b"", ""
    try:
        done = dumps(loads(work)(loads(row["piece"])))
    except PoiseError as fault:
        error = str(fault)
    except OSError as fault:
        error = cannot_write(where, fault)
    return {"number": row["number"], "answer": done, "error": error}
