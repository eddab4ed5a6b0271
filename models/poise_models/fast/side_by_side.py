"""Chunks of windows on a CPU: each on a thread of its own, not all threads in every product.

Threads that share each product wait for one another at its end, and where other work has one of
the cores, all of them wait for it, hundreds of times a chunk. Threads with chunks of their own
wait for one another once, at the end.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

from poise_models.base.batch import Columns, split_rows

Result = TypeVar("Result")

#: How many threads a product has is a setting of the whole process, so one call at a time.
_setting = Lock()


def in_chunks(
    call: Callable[[Columns], Result], columns: Columns, most: int, apart: bool
) -> list[Result]:
    """Call a function with chunks of the columns, without gradients; return its results in order.

    Where there is more than a chunk for each of PyTorch's threads, they get equal shares; meanwhile
    products anywhere in the process have one thread, and a thread that uses PyTorch for the first
    time keeps to one. Otherwise, and for a second caller at that time, chunks come one after
    another.

    Args:
        call: a function of one chunk.
        columns: tensors of N rows each.
        most: rows of a chunk, at most.
        apart: whether threads may have chunks of their own.
    """
    rows, threads = len(columns[0]), torch.get_num_threads() if apart else 1
    if threads == 1 or rows <= most * threads or not _setting.acquire(blocking=False):
        with torch.inference_mode():
            return [call(chunk) for chunk in split_rows(columns, most)]
    try:
        torch.set_num_threads(1)
        rounds = -(-rows // (most * threads))
        chunks = split_rows(columns, -(-rows // (rounds * threads)))
        with ThreadPoolExecutor(threads, thread_name_prefix="windows") as pool:
            return list(pool.map(torch.inference_mode()(call), chunks))
    finally:
        torch.set_num_threads(threads)
        _setting.release()
