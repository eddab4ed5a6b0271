"""Read a pickled object array entry by entry, in the memory of a few entries.

An entry is yielded as soon as the pickle has finished it and begun the next. Its parts are then
dropped from the unpickler's memo, except what pickles do share between entries: types, short
strings, and the last few entries themselves.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from poise.readers.untrusted.budget import Budget
from poise.readers.untrusted.located import SMALLEST, Located, Place
from poise.readers.untrusted.safe_pickle import (
    Outer,
    Refused,
    RefusedError,
    StandIn,
    StoredArray,
    find_or_stand_in,
    is_shared,
    plain,
    plain_or_refused,
)
from poise.readers.untrusted.unpickler import Unpickler

#: Finished entries a later one may still refer to.
_SHARED_BYTES: Final = 64 * 2**20
_SHARED_STRINGS: Final = 100_000
_SHORT: Final = 256


def entries(
    stream: io.BufferedReader,
    shape: tuple[int, ...],
    budget: Budget,
    longest: int,
    digest: Callable[[Any], Any] | None = None,
    keep: Callable[[int], Place] | None = None,
) -> Iterator[Any]:
    """Read one pickled object array, element by element in the order they are stored.

    Args:
        stream: positioned at the pickle.
        shape: shape of the array, from its npy header.
        budget: of the file.
        longest: how many bytes the pickle can have.
        digest: function that sums up an element; its result is yielded in place of the element.
        keep: function that goes past so many bytes of the stream and says where they are. Arrays
            of numbers then come as `Located`.

    An element that is anything else than arrays, lists, strings, bytes and numbers comes as a
    `Refused`; nothing of it was called.

    Raises:
        RefusedError: the pickle as a whole is something else, or does what no data do.
        BudgetError: reading it costs more than it may.
        NotLocatedError: with ``keep``, bytes that are no array of numbers.
        Exception: a damaged pickle may raise any error.
    """
    reader = _Unpickler(stream, budget, longest, digest, keep)
    announced = math.prod(shape)
    for place, entry in enumerate(reader.run()):
        if place == announced:
            raise ValueError("the pickled content is more than its header announces")
        yield entry
    root = reader.root
    if not isinstance(root, StoredArray) or root.outer is None:
        plain(root, budget)
        raise ValueError("the pickled content is not the array its header announces")
    if root.shape != shape or root.outer.entries != announced:
        raise ValueError("the pickled content is not the array its header announces")


class _Taken(StandIn):
    """Where a finished entry was on the stack: nothing can change it any more."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("an entry that changes after the next has begun")


class _Known:
    """A finished entry in the memo, as it was handed over."""

    __slots__ = ("size", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.size = value.nbytes if isinstance(value, np.ndarray | Located) else _SHORT


_TAKEN: Final = _Taken()
_STRING: Final = pickle.SHORT_BINUNICODE[0]
_MEMOIZE: Final = pickle.MEMOIZE[0]


class _Memo(dict[int, Any]):
    """What the entry in the making put there; what is not there is looked for in ``kept``."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.strings = 0
        self.kept: dict[int, Any] = {}
        self.recent: OrderedDict[int, _Known] = OrderedDict()
        self.recent_bytes = 0

    def __missing__(self, key: int) -> Any:
        found = self.kept.get(key, self.recent.get(key))
        if found is None:
            raise ValueError(
                f"it refers back to object {key}, which is not there, or was too far back to keep"
            )
        return found

    def settle(self, done: dict[int, Any]) -> None:
        """Forget what finished entries were made of, and remember them as they went out."""
        for key, value in self.items():
            if type(value) is str:
                if self.strings < _SHARED_STRINGS and len(value) <= _SHORT:
                    self.strings += 1
                    self.kept[key] = value
            elif id(value) in done:
                self._remember(key, _Known(done[id(value)]))
            elif type(value) is bytes:
                if len(value) <= 1:  # the "b" every array is made from
                    self.kept[key] = value
            elif is_shared(value):
                self.kept[key] = value
        self.clear()

    def _remember(self, key: int, known: _Known) -> None:
        if isinstance(known.value, list):
            return
        self.recent[key] = known
        self.recent_bytes += known.size
        while self.recent_bytes > _SHARED_BYTES:
            self.recent_bytes -= self.recent.popitem(last=False)[1].size


class _Unpickler(Unpickler):
    def __init__(
        self,
        stream: io.BufferedReader,
        budget: Budget,
        longest: int,
        digest: Callable[[Any], Any] | None,
        keep: Callable[[int], Place] | None,
    ) -> None:
        super().__init__(stream, budget, longest)
        self.memo: _Memo = _Memo()
        self._digest = digest
        self._keep = keep
        self._outer: Outer | None = None
        self._taken = 0

    def find_class(self, module: str, name: str) -> Any:
        return find_or_stand_in(module, name)

    def binary(self, width: int) -> Any:
        if self._keep is None:
            return super().binary(width)
        size = self.announced(width)
        return self.read(size) if size < SMALLEST else self._keep(size)

    def load_memoize(self) -> None:
        memo = self.memo
        memo[memo.count] = self.stack[-1]
        memo.count += 1
        if type(self.stack[-1]) is str:
            self._load_more_strings()

    def _load_more_strings(self) -> None:
        """Read the short strings that follow, as far as they are buffered."""
        ahead = self._stream.peek()
        place, end = 0, len(ahead)
        append, memo, count = self.stack.append, self.memo, self.memo.count
        while place + 1 < end and ahead[place] == _STRING:
            stop = place + 2 + ahead[place + 1]
            if stop >= end or ahead[stop] != _MEMOIZE:
                break
            text = str(ahead[place + 2 : stop], "utf-8", "surrogatepass")
            append(text)
            memo[count] = text
            count += 1
            place = stop + 1
        self.budget.opcodes(2 * (count - memo.count))
        memo.count = count
        self._stream.read(place)

    def load_empty_list(self) -> None:
        if self._outer is None and self._builds_outer():
            self._outer = Outer()
            self.append(self._outer)
            return
        self.append([])
        self._hand_over()

    def load_list(self) -> None:
        items = self.pop_mark()
        if self._outer is None and self._builds_outer():
            self._outer = Outer()
            self.append(self._outer)
            self._finish(items)
            return
        self.append(items)

    def load_build(self) -> None:
        super().load_build()
        self._hand_over()

    def load_reduce(self) -> None:
        super().load_reduce()
        self._hand_over()

    def extend(self, box: Any, items: list[Any]) -> None:
        if box is self._outer:
            self._finish(items[self._taken :])
            self._taken = 0
        else:
            super().extend(box, items)

    def _builds_outer(self) -> bool:
        """Whether the list to come is the content in the state of the first object."""
        return (
            len(self.metastack) == 1
            and len(self.metastack[0]) == 1
            and isinstance(self.metastack[0][0], StoredArray)
            and len(self.stack) == 4
        )

    def _hand_over(self) -> None:
        """Let go of all entries below the one that has just begun."""
        if self._outer is None or not self.metastack:
            return
        under = self.metastack[-1]
        if not under or under[-1] is not self._outer:
            return
        first = self._taken
        last = first
        while last < len(self.stack) - 1 and type(self.stack[last]) in _WHOLE:
            last += 1
        if last > first:
            self._finish(self.stack[first:last])
            self.stack[first:last] = [_TAKEN] * (last - first)
            self._taken = last

    def _finish(self, items: list[Any]) -> None:
        assert self._outer is not None  # noqa: S101
        done: dict[int, Any] = {}
        for item in items:
            if type(item) is _Known:
                value = item.value
                if isinstance(value, np.ndarray | Located):  # else it is a digest
                    value = plain_or_refused(value, self.budget)
            else:
                value = plain_or_refused(item, self.budget)
                if self._digest is not None and not isinstance(value, Refused):
                    value = self._digest(value)
                done[id(item)] = value
            self._ready.append(value)
        self._outer.entries += len(items)
        self.memo.settle(done)
        self.budget.next_entry()


_WHOLE: Final = (StoredArray, list, _Known, type(None))
