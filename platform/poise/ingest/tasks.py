"""Work done piece by piece in Ray Data tasks, whose faults are told in a line."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import ray
from ray.cloudpickle import dumps, loads

from poise.runtime import storage
from poise.runtime.errors import DataError, PoiseError
from poise.runtime.places import storage_fault

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def in_tasks(
    work: Callable[[Piece], Answer],
    pieces: Sequence[Piece],
    where: str,
    aside: str | None = None,
) -> Iterator[tuple[int, Answer]]:
    """Do every piece in a task of its own, at most one a core of the cluster at a time.

    A task that dies with its process or its node is run again.

    Args:
        work: what to do; a function of a module.
        pieces: what to do it with; small, for they pass through this process.
        where: what is written to, for the message where that fails.
        aside: a folder that they write to and that is removed where one fails: what has begun is
            then waited for, and nothing else begins.

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
    # Of this call alone: a process that is killed leaves it there.
    over = None if aside is None else storage.join(aside, f"over-{uuid.uuid4().hex}")
    done = tasks.map(answer, fn_kwargs={"work": dumps(work), "where": where, "over": over})
    error = ""
    for row in done.iter_rows():
        if error:
            continue
        error = row["error"]
        if not error:
            yield int(row["number"]), loads(row["answer"])
        elif over is None:
            break
        else:
            with suppress(OSError, PoiseError):  # of a full disk, which stops the others anyway
                storage.write_bytes(over, b"")
    if error:
        raise DataError(error)


def answer(row: dict[str, Any], work: bytes, where: str, over: str | None = None) -> dict[str, Any]:
    """Do a piece, unless there is a file ``over``; what goes wrong is a part of the answer."""
    # Ray would wrap an error, and log a page about it: it travels as an answer instead.
    done, error = b"", ""
    try:
        if over is not None and storage.exists(over):
            raise DataError("another piece failed")
        done = dumps(loads(work)(loads(row["piece"])))
    except PoiseError as fault:
        error = str(fault)
    except OSError as fault:
        error = storage_fault(where, fault)
    return {"number": row["number"], "answer": done, "error": error}
