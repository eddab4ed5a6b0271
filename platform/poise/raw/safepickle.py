"""Unpickle NumPy arrays, lists and strings, and nothing else.

The field keeps ragged sequences as pickled object arrays, and unpickling a file somebody sent can
run code. Here the names a pickle may call lead to the small classes below: neither imports nor
NumPy's own restore routines (which trust the type flags in a pickle) are ever reached.
"""

import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

_DTYPE_CODE: Final = re.compile(r"[fiub]\d{1,2}|[US]\d{1,9}|O8?")


class RefusedError(Exception):
    """A pickle holds something else than NumPy arrays, lists and strings."""


def load(stream: IO[bytes]) -> Any:
    """Read one pickle made of NumPy arrays, lists, strings, bytes and numbers.

    Raises:
        RefusedError: it names anything else; nothing of it was called.
        Exception: whatever a damaged pickle makes of itself; no narrower promise is possible.
    """
    return _plain(_Unpickler(stream, encoding="latin1").load())


class _Dtype:
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


class _Array:
    """Stand-in for a pickled ``numpy.ndarray``: built by its state alone."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        flat = _objects(content, shape) if isinstance(content, list) else _numbers(content, dtype)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


class _Callable:
    """A function a pickle may call, but not change (``BUILD`` sets attributes on plain ones)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("a changed function")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(
    content: bytes | bytearray,
    dtype: _Dtype,
    shape: tuple[int, ...],
    order: str,
    axes: tuple[int, ...] | None = None,
) -> _Array:
    array = _Array()
    numbers = _numbers(content, dtype)
    if order == "K" and axes is not None:
        array.value = numbers.reshape(shape).transpose(axes)
    else:
        array.value = numbers.reshape(shape, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: _Dtype, content: bytes) -> Any:
    return _numbers(content, dtype)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"the codec {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _numbers(content: bytes | bytearray | str, dtype: _Dtype) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype) or dtype.value.hasobject:
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


_ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _Callable(_latin1),
    ("__builtin__", "bytes"): _Callable(_no_bytes),
    **{
        (f"numpy.{core}.{module}", name): _Callable(function)
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


# The one written in Python: the C unpickler keeps its memo in an array as long as the largest index
# a pickle names, so five bytes of file can ask for 30 GB.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError("a persistent id")


def _plain(root: Any) -> Any:
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
            if kind is _Array:
                item = flat[place] = item.value
            elif kind is not list:
                raise RefusedError(f"an object of type {kind.__name__.lstrip('_')}")
            if isinstance(item, np.ndarray) and item.dtype != object:
                continue
            if id(item) not in seen:
                seen.add(id(item))
                todo.append(item)
    return holder[0]
