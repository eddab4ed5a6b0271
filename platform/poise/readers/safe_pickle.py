"""What a pickle may name: NumPy arrays, lists and strings, and nothing else.

Data sets keep sequences of different lengths as pickled object arrays, and unpickling a file from
elsewhere can run code. Here the names a pickle may call are bound to the small classes below, so
that neither imports nor NumPy's own restore functions, which trust the types in a pickle, run.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_DTYPE_CODE: Final = re.compile(r"[fiub]\d{1,2}|[US]\d{1,9}|O8?")


class RefusedError(Exception):
    """A pickle holds something else than NumPy arrays, lists and strings."""


class Outer(list[Any]):
    """The content of the outermost array: its entries went out one by one, and were counted."""

    entries = 0


class Dtype:
    """Stand-in for a pickled ``numpy.dtype``: plain numbers, strings and object only."""

    __slots__ = ("value",)

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not _DTYPE_CODE.fullmatch(code):
            raise RefusedError(f"arrays of type {code!r}")
        self.value: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state[:5]
        if any(part is not None for part in structure) or order not in ("<", ">", "=", "|"):
            raise RefusedError("arrays of structured type")
        self.value = self.value.newbyteorder(order)


class StoredArray:
    """Stand-in for a pickled ``numpy.ndarray``: built by its state alone."""

    __slots__ = ("outer", "shape", "value")

    def __init__(self) -> None:
        self.value: NDArray[Any] = np.empty(0)
        self.outer: Outer | None = None
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(content, Outer):
            self.outer, self.shape = content, shape
            return
        if isinstance(content, list):
            # Whatever the flag says, NumPy lists objects row by row.
            self.value = _objects(content, shape).reshape(shape)
        else:
            self.value = _numbers(content, dtype).reshape(shape, order="F" if fortran else "C")


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
    numbers = _numbers(content, dtype)
    if order == "K" and axes is not None:
        array.value = numbers.reshape(shape).transpose(axes)
    else:
        array.value = numbers.reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: Dtype, content: bytes) -> Any:
    return _numbers(content, dtype)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"the codec {encoding!r}")
    return text.encode("latin1")


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


def is_stand_in(value: Any) -> bool:
    """Say whether this is a class, function or dtype of this module: small, and often shared."""
    return isinstance(value, Dtype | Function) or value in (Dtype, StoredArray)


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
            if kind is str or kind is float or kind is int or kind is bool or kind is bytes:
                continue
            if kind is StoredArray:
                item = flat[place] = item.value
            elif kind is not list:
                raise RefusedError(f"an object of type {kind.__name__.lstrip('_')}")
            if isinstance(item, np.ndarray) and item.dtype != object:
                continue
            if id(item) not in seen:
                seen.add(id(item))
                todo.append(item)
    return holder[0]
