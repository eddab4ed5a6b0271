"""Pickles of dicts, lists and arrays, and torch's archives of such: read without running them.

Estimators save their results so. What is neither comes as an `Unknown`, which is looked into by
nobody; joblib's pickles keep arrays between their opcodes, and are refused.
"""

import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.safe_pickle import (
    Function,
    RefusedError,
    StandIn,
    StoredArray,
    Unknown,
    find_or_stand_in,
    from_bytes,
)
from poise.readers.untrusted.unpickler import Unpickler
from poise.runtime.errors import DataError, in_short

_JOBLIB: Final = "joblib."
#: Members of torch's archive.
_PICKLE: Final = "data.pkl"
_ZIP: Final = b"PK\x03\x04"
#: How pickles of today's Python begin.
_PICKLES: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
#: Of a whole file: a result has some dozen for each person in a frame.
_MOST_OPCODES: Final = 2**24
_KEYS: Final = (str, int)
_TORCH_TYPES: Final = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "ByteStorage": "<u1", "BoolStorage": "|b1",
}  # fmt: skip


def is_pickle(head: bytes) -> bool:
    """Say whether a file that begins so is a pickle."""
    return head.startswith(_PICKLES)


def is_torch(path: Path, head: bytes) -> bool:
    """Say whether a file is an archive that torch saved."""
    if not head.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/{_PICKLE}") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_dicts(path: Path) -> Any:
    """Return what is pickled in a file: dicts, lists, arrays, numbers, text; `Unknown` for others.

    Raises:
        DataError: damaged, too costly, or written by joblib.
    """
    try:
        size = path.stat().st_size
        budget = Budget(size, _MOST_OPCODES)
        with path.open("rb") as stream:
            if stream.peek(len(_ZIP)).startswith(_ZIP):
                return _torch(path, budget)
            return _plain(_run(DictUnpickler(stream, budget, size)), budget)
    except _JoblibError:
        raise DataError(
            f"{path}: was written by joblib, whose files can run code and are not read; in the "
            "Python that wrote it open it by joblib, and pickle.dump(it, open('new.pkl', 'wb'))"
        ) from None
    except RefusedError as error:
        raise DataError(
            f"{path}: refused {error}: only dicts, lists, arrays, numbers and text are read from a "
            "pickle, because anything else can run code; save the arrays: np.savez('clip.npz', "
            "poses=...)"
        ) from None
    except BudgetError as error:
        raise DataError(f"{path}: refused: {error}; no result looks like that") from None
    # A damaged pickle can raise anything, and so can a damaged archive.
    except Exception as error:
        raise DataError(
            f"{path}: a pickle that is damaged ({in_short(error)}); copy or save it again"
        ) from None


class _JoblibError(Exception):
    """A pickle names what joblib keeps its arrays in."""


class DictUnpickler(Unpickler):
    """An unpickler that keeps dicts, whose keys are text or whole numbers."""

    keys: ClassVar[tuple[type, ...]] = _KEYS

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; of dicts of the standard library, what makes one."""
        if f"{module}.".startswith(_JOBLIB):
            raise _JoblibError
        known = _NAMES.get((module, name))
        return find_or_stand_in(module, name) if known is None else known

    def load_empty_dict(self) -> None:
        """Begin a dict."""
        self.append({})

    def load_dict(self) -> None:
        """Make a dict of what is on the stack."""
        items = self.pop_mark()
        self.append({})
        self.set_items(self.stack[-1], items)

    def set_items(self, box: Any, items: list[Any]) -> None:
        """Put keys and values, one after the other, into a dict."""
        if not isinstance(box, dict):
            super().set_items(box, items)
        elif not all(type(key) in self.keys for key in items[::2]):
            raise RefusedError("a dict whose keys are no text or numbers")
        else:
            box.update(zip(items[::2], items[1::2], strict=True))


def _run(reader: Unpickler) -> Any:
    for _ in reader.run():
        pass
    return reader.root


def _dict(*_: Any) -> dict[Any, Any]:
    """Stand for dicts of other kinds, whose items follow."""
    return {}


class _Storage(StandIn):
    """Stand-in for the numbers of a tensor, which are a member of the archive."""

    __slots__ = ("values",)

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values


class _StorageType(StandIn):
    """Stand-in for a type of numbers."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


def _tensor(
    storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> StoredArray:
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise RefusedError("a tensor without numbers")
    if not all(type(one) is int and one >= 0 for one in (offset, *shape, *strides)):
        raise RefusedError("a tensor whose shape is no shape")
    array, flat, count = StoredArray(), storage.values, 1
    for length in shape:
        count *= length
    last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    if count > flat.size or (count and last >= flat.size):
        raise RefusedError("a tensor beyond its numbers")
    places = np.full(shape, offset)
    for axis, (length, step) in enumerate(zip(shape, strides, strict=True)):
        steps = np.arange(length) * step
        places = places + steps.reshape(-1, *[1] * (len(shape) - axis - 1))
    array.value = flat[places]
    return array


_NAMES: Final[dict[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): Function(_dict),
    ("collections", "defaultdict"): Function(_dict),
    **{(module, "dict"): Function(_dict) for module in ("builtins", "__builtin__")},
    ("torch._utils", "_rebuild_tensor_v2"): Function(_tensor),
    **{("torch", name): _StorageType(code) for name, code in _TORCH_TYPES.items()},
}


class _TorchUnpickler(DictUnpickler):
    def __init__(
        self, stream: Any, budget: Budget, longest: int, member: Callable[[str], bytes]
    ) -> None:
        super().__init__(stream, budget, longest)
        self._member = member
        self._storages: dict[str, _Storage] = {}

    def persistent_load(self, pid: Any) -> Any:
        """Return a tensor's numbers, which the archive keeps under a key."""
        match pid:
            case ("storage", _StorageType() as kind, str(key), *_):
                if key not in self._storages:
                    values = from_bytes(self._member(f"data/{key}"), np.dtype(kind.code))
                    self.budget.numbers(values.shape, values.itemsize)
                    self._storages[key] = _Storage(values)
                return self._storages[key]
            case _:
                raise RefusedError("numbers of a type that is not known")


def _torch(path: Path, budget: Budget) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next(name for name in names if name.endswith(f"/{_PICKLE}"))
        home = pickled.removesuffix(_PICKLE)

        def member(name: str) -> bytes:
            info = archive.getinfo(home + name)
            if info.compress_type != zipfile.ZIP_STORED:
                raise RefusedError("a packed member, where torch packs nothing")
            budget.member(info.file_size)
            return archive.read(info)

        content = member(_PICKLE)
        stream = io.BufferedReader(io.BytesIO(content))
        return _plain(_run(_TorchUnpickler(stream, budget, len(content), member)), budget)


def _plain(root: Any, budget: Budget, depth: int = 0) -> Any:
    """Return dicts, lists and arrays in the place of their stand-ins."""
    if isinstance(root, StoredArray):
        if root.refused:
            return Unknown(root.refused)
        return _plain(root.value, budget, depth) if root.value.dtype == object else root.value
    if isinstance(root, np.ndarray) and root.dtype == object:
        items: Iterable[Any] = root.ravel()
        return [_plain(one, budget, depth + 1) for one in _counted(items, budget, depth)]
    if isinstance(root, list | tuple):
        return [_plain(one, budget, depth + 1) for one in _counted(root, budget, depth)]
    if isinstance(root, dict):
        values = _counted(root.values(), budget, depth)
        return {key: _plain(one, budget, depth + 1) for key, one in zip(root, values, strict=True)}
    return root


def _counted(items: Iterable[Any], budget: Budget, depth: int) -> list[Any]:
    found = [*items]
    budget.objects(len(found), depth=depth)
    return found
