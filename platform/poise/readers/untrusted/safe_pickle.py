"""What a pickle may name: NumPy arrays, lists and strings, and nothing else.

Data sets keep sequences of different lengths as pickled object arrays, and unpickling a file from
elsewhere can run code. Here the names a pickle may call are bound to the small classes below, so
that neither imports nor NumPy's own restore functions, which trust the types in a pickle, run. Any
other name is bound to an `Unknown`, which takes whatever it is given, keeps nothing and does
nothing: the entry that holds one is refused, and the entries beside it are read.
"""

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.located import Located, NotLocatedError, Place

#: What to do about an entry that is no data, and about one that exceeds a budget.
ONLY_DATA: Final = (
    "only arrays, lists, strings and numbers are read, because anything else in an npz can run "
    "code; save it as a plain array"
)
NO_MOTION: Final = (
    "no motion looks like that; copy the file again, or save plain arrays uncompressed (np.savez)"
)
_LONGEST_LABEL: Final = 80
_DTYPE_CODE: Final = re.compile(r"[fiub]\d{1,2}|[US]\d{1,9}|O8?")


#: The number that is none, which all masked values of a pickle share.
NO_NUMBER: Final = float("nan")


class RefusedError(Exception):
    """A pickle holds something else than NumPy arrays, lists and strings."""


class Outer(list[Any]):
    """The content of the outermost array: its entries went out one by one, and were counted."""

    entries = 0


class StandIn:
    """What stands for an object a pickle made, and takes its state; nothing else can be changed."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Take a state."""
        raise RefusedError(f"a changed {type(self).__name__.lstrip('_').lower()}")


class Unknown(StandIn):
    """Stand-in for whatever else a pickle names: called, filled and changed without effect."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        #: What it stands for.
        self.label = label

    def __setstate__(self, state: Any) -> None:
        pass


class Dtype(StandIn):
    """Stand-in for a pickled ``numpy.dtype``: plain numbers, strings and object only."""

    __slots__ = ("refused", "value")

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        known = _DTYPE_CODE.fullmatch(code) is not None
        self.refused = "" if known else f"arrays of type {code!r}"
        self.value: np.dtype[Any] = np.dtype(code if known else "u1")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state[:5]
        if any(part is not None for part in structure) or order not in ("<", ">", "=", "|"):
            self.refused = self.refused or "arrays of structured type"
        else:
            self.value = self.value.newbyteorder(order)


class StoredArray(StandIn):
    """Stand-in for a pickled ``numpy.ndarray``: built by its state alone."""

    __slots__ = ("outer", "refused", "shape", "value")

    def __init__(self) -> None:
        self.refused = ""
        self.value: NDArray[Any] | Located = np.empty(0)
        self.outer: Outer | None = None
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Of a masked array, mask and fill value come after it.
        _, shape, dtype, fortran, content, *masked = state
        if type(shape) is not tuple or not all(type(axis) is int and axis >= 0 for axis in shape):
            raise RefusedError("an array whose shape is no shape")
        if isinstance(content, Outer):
            if masked and any(masked[0]):
                raise RefusedError("masked entries of an object array")
            self.outer, self.shape = content, shape
            return
        self.refused = dtype.refused
        if self.refused:
            return
        if isinstance(content, list):
            # Whatever the flag says, NumPy lists objects row by row.
            self.value = _objects(content, shape).reshape(shape)
            return
        order: Literal["F", "C"] = "F" if fortran else "C"
        if isinstance(content, Place) and not masked:
            self.value = content.array(dtype.value, shape, order)
            return
        self.value = values = _numbers(content, dtype).reshape(shape, order=order)
        if masked:
            self._lose(values, np.frombuffer(masked[0], bool).reshape(shape, order=order))

    def _lose(self, values: NDArray[Any], masked: NDArray[np.bool_]) -> None:
        """Put NaN where a masked array has no number."""
        if values.dtype.kind not in "fiub":
            self.refused = "masked arrays of other things than numbers"
        elif masked.any():
            self.value = np.where(masked, NO_NUMBER, values)


class Function(StandIn):
    """A function a pickle may call, but not change (``BUILD`` sets attributes on plain ones)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        """Do what the named function would."""
        return self._function(*args)


def _reconstruct(*_: Any) -> StoredArray:
    return StoredArray()


def _from_buffer(
    content: bytes | bytearray | Place,
    dtype: Dtype,
    shape: tuple[int, ...],
    order: str,
    axes: tuple[int, ...] | None = None,
) -> StoredArray:
    array = StoredArray()
    array.refused = dtype.refused
    if array.refused:
        return array
    if isinstance(content, Place):
        array.value = content.array(dtype.value, shape, order)
        return array
    numbers = _numbers(content, dtype)
    if order == "K" and axes is not None:
        array.value = numbers.reshape(shape).transpose(axes)
    else:
        array.value = numbers.reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: Dtype, content: bytes) -> Any:
    if dtype.refused:
        return dtype
    return _numbers(content, dtype)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"the codec {encoding!r}")
    return text.encode("latin1")


def _no_number() -> float:
    return NO_NUMBER


def _no_bytes() -> bytes:
    return b""


def _numbers(content: bytes | bytearray | str | Place, dtype: Dtype) -> NDArray[Any]:
    if isinstance(content, Place):
        raise NotLocatedError
    if not isinstance(dtype, Dtype) or dtype.value.hasobject:
        raise RefusedError("an array whose type and content do not go together")
    raw = content.encode("latin1") if isinstance(content, str) else content
    return from_bytes(raw, dtype.value)


def from_bytes(raw: bytes | bytearray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a flat array of bytes that anybody may have written; raise `ValueError`.

    A copy, so that it can be written to. Text whose letters are none would take Python along.
    """
    found = np.frombuffer(raw, dtype).copy()
    if dtype.kind == "U" and found.size:
        letters = found.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if letters.max() > sys.maxunicode:
            raise ValueError("text with letters that there are not")
    return found


def _objects(content: list[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if math.prod(shape) != len(content):
        raise RefusedError(f"an array of shape {shape} with {len(content)} elements")
    flat = np.empty(len(content), dtype=object)
    for place, element in enumerate(content):
        flat[place] = element
    return flat


_NAMES: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): StoredArray,
    ("_codecs", "encode"): Function(_latin1),
    ("__builtin__", "bytes"): Function(_no_bytes),
    ("numpy.ma.core", "_mareconstruct"): Function(_reconstruct),
    **{(module, "MaskedArray"): StoredArray for module in ("numpy.ma", "numpy.ma.core")},
    **{
        (module, "MaskedConstant"): Function(_no_number) for module in ("numpy.ma", "numpy.ma.core")
    },
    **{
        (f"numpy.{core}.{module}", name): Function(function)
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


def find(module: str, name: str) -> Any:
    """Return what stands for a name; raise `RefusedError` where it is not one of NumPy's."""
    try:
        return _NAMES[module, name]
    except KeyError:
        raise RefusedError(f"{module}.{name}") from None


def find_or_stand_in(module: str, name: str) -> Any:
    """Return what stands for a name, of which an `Unknown` is made where it is not NumPy's."""
    known = _NAMES.get((module, name))
    return _unknown(f"{module}.{name}"[:_LONGEST_LABEL]) if known is None else known


#: One for each label: a pickle may name a thing for every entry.
_unknown = lru_cache(maxsize=256)(Unknown)


_SMALL: Final = (Dtype, Function, Unknown)


def is_shared(value: Any) -> bool:
    """Say whether this is small and often shared: a class, function or dtype, what masks share."""
    if value is NO_NUMBER or (type(value) is tuple and [*map(type, value)] == [int]):
        return True
    return value is Dtype or value is StoredArray or isinstance(value, _SMALL)


@dataclass(frozen=True)
class Refused:
    """What an entry is replaced by that is not read, and why.

    Attributes:
        kind: what it is that is no data, or which budget it exceeds.
        advice: what to do about it.
    """

    kind: str
    advice: str

    def __str__(self) -> str:
        return f"refused {self.kind}: {self.advice}"


def plain_or_refused(entry: Any, budget: Budget) -> Any:
    """Return `plain`'s result for an entry; a `Refused` where it is no data, or too much."""
    try:
        return plain(entry, budget)
    except RefusedError as error:
        return Refused(str(error), ONLY_DATA)
    except BudgetError as error:
        return Refused(str(error), NO_MOTION)


def plain(root: Any, budget: Budget) -> Any:
    """Replace stand-ins by what they stand for.

    Raises:
        RefusedError: one is no data.
        BudgetError: an entry that refers to one list or array again and again counts each as often.
    """
    holder, count = [root], 0
    todo: list[tuple[list[Any] | NDArray[Any], int]] = [(holder, 0)]
    while todo:
        box, depth = todo.pop()
        flat = box if isinstance(box, list) else box.ravel(order="K")
        count = budget.objects(len(flat), count, depth)
        for place, item in enumerate(flat):
            kind = type(item)
            if kind in _NUMBERS:
                continue
            if kind in _TEXTS:
                if len(item) > _LONG_TEXT:
                    budget.bytes(len(item))
                continue
            if kind is StoredArray and not item.refused:
                item = flat[place] = item.value
            elif kind is tuple:
                item = flat[place] = list(item)
            elif kind is Place:
                raise NotLocatedError
            elif kind not in (list, np.ndarray, Located):
                raise RefusedError(_what(item))
            if isinstance(item, np.ndarray | Located):
                budget.numbers(item.shape, item.itemsize)
                if item.dtype != object:
                    continue
            todo.append((item, depth + 1))
    return holder[0]


#: Values that are data by themselves; None stands for what is missing.
_NUMBERS: Final = frozenset((float, int, bool, type(None)))
_TEXTS: Final = frozenset((str, bytes))
#: Shorter texts are no more than objects, however often an entry refers to one.
_LONG_TEXT: Final = 1024


def _what(item: Any) -> str:
    if isinstance(item, Unknown):
        return item.label
    if isinstance(item, StoredArray | Dtype) and item.refused:
        return item.refused
    return f"an object of type {type(item).__name__.lstrip('_')}"
