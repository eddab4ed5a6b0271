"""What a pickle may name: NumPy arrays, lists and strings, and nothing else.

Data sets keep sequences of different lengths as pickled object arrays, and unpickling a file from
elsewhere can run code. Here the names a pickle may call are bound to the small classes below, so
that neither imports nor NumPy's own restore functions, which trust the types in a pickle, run. Any
other name is bound to an `Unknown`, which takes whatever it is given, keeps nothing and does
nothing: the entry that holds one is refused, and the entries beside it are read.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

_DTYPE_CODE: Final = re.compile(r"[fiub]\d{1,2}|[US]\d{1,9}|O8?")


#: What masked arrays of one pickle share: the number that is none, and the shape they begin with.
NO_NUMBER: Final = float("nan")
NO_SHAPE: Final = (0,)


class RefusedError(Exception):
    """A pickle holds something else than NumPy arrays, lists and strings."""


class Outer(list[Any]):
    """The content of the outermost array: its entries went out one by one, and were counted."""

    entries = 0


class Unknown:
    """Stand-in for an object of any other name: made, filled and changed without effect."""

    __slots__ = ()
    #: The name it stands for.
    label = ""

    def __new__(cls, *_: Any, **__: Any) -> "Unknown":
        """Take any arguments, and keep none."""
        return super().__new__(cls)

    def _ignore(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = update = _ignore


class Dtype:
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


class StoredArray:
    """Stand-in for a pickled ``numpy.ndarray``: built by its state alone."""

    __slots__ = ("outer", "refused", "shape", "value")

    def __init__(self) -> None:
        self.refused = ""
        self.value: NDArray[Any] = np.empty(0)
        self.outer: Outer | None = None
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Of a masked array, mask and fill value come after it.
        _, shape, dtype, fortran, content, *masked = state
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
        else:
            order: Literal["F", "C"] = "F" if fortran else "C"
            self.value = _numbers(content, dtype).reshape(shape, order=order)
            if masked:
                self._lose(np.frombuffer(masked[0], bool).reshape(shape, order=order))

    def _lose(self, masked: NDArray[np.bool_]) -> None:
        """Put NaN where a masked array has no number."""
        if self.value.dtype.kind not in "fiub":
            self.refused = "masked arrays of other things than numbers"
        elif masked.any():
            self.value = np.where(masked, NO_NUMBER, self.value)


class Function:
    """A function a pickle may call, but not change (``BUILD`` sets attributes on plain ones)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        """Do what the named function would."""
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("a changed function")


def _reconstruct(*_: Any) -> StoredArray:
    return StoredArray()


def _from_buffer(
    content: bytes | bytearray,
    dtype: Dtype,
    shape: tuple[int, ...],
    order: str,
    axes: tuple[int, ...] | None = None,
) -> StoredArray:
    array = StoredArray()
    array.refused = dtype.refused
    if array.refused:
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


def _numbers(content: bytes | bytearray | str, dtype: Dtype) -> NDArray[Any]:
    if not isinstance(dtype, Dtype) or dtype.value.hasobject:
        raise RefusedError("an array whose type and content do not go together")
    raw = content.encode("latin1") if isinstance(content, str) else content
    # A copy, so that every array can be written to, whatever protocol it came by.
    return np.frombuffer(raw, dtype.value).copy()


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
    return _unknown(f"{module}.{name}") if known is None else known


@lru_cache(maxsize=256)
def _unknown(label: str) -> type[Unknown]:
    return type("Unknown", (Unknown,), {"__slots__": (), "label": label})


def is_shared(value: Any) -> bool:
    """Say whether this is small and often shared: a class, function or dtype, what masks share."""
    if value is NO_NUMBER or (type(value) is tuple and value == NO_SHAPE):
        return True
    if isinstance(value, type):
        return value in (Dtype, StoredArray) or issubclass(value, Unknown)
    return isinstance(value, Dtype | Function | Unknown)


@dataclass(frozen=True)
class Refused:
    """What an entry is replaced by that is not read, and why."""

    kind: str


def plain_or_refused(entry: Any) -> Any:
    """Return `plain`'s result for an entry; a `Refused` where it is no data."""
    try:
        return plain(entry)
    except RefusedError as error:
        return Refused(str(error))


def plain(root: Any) -> Any:
    """Replace stand-ins by what they stand for; raise `RefusedError` where one is no data."""
    # Every container once: a small pickle can share and nest lists into an astronomic tree.
    seen: set[int] = set()
    holder = [root]
    todo: list[list[Any] | NDArray[Any]] = [holder]
    while todo:
        box = todo.pop()
        flat = box if isinstance(box, list) else box.ravel(order="K")
        for place, item in enumerate(flat):
            kind = type(item)
            if kind in _VALUES:
                continue
            if kind is StoredArray and not item.refused:
                item = flat[place] = item.value
            elif kind is tuple:
                item = flat[place] = list(item)
            elif kind is not list:
                raise RefusedError(_what(item))
            if isinstance(item, np.ndarray) and item.dtype != object:
                continue
            if id(item) not in seen:
                seen.add(id(item))
                todo.append(item)
    return holder[0]


#: Values that are data by themselves; None stands for what is missing.
_VALUES: Final = frozenset((str, float, int, bool, bytes, type(None)))


def _what(item: Any) -> str:
    if isinstance(item, Unknown) or (isinstance(item, type) and issubclass(item, Unknown)):
        return item.label
    if isinstance(item, StoredArray | Dtype) and item.refused:
        return item.refused
    return f"an object of type {type(item).__name__.lstrip('_')}"
