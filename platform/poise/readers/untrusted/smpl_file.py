"""Read a body model in SMPL's file format (.pkl, .npz) without running anything in it.

The licensed files are pickles with SciPy and chumpy objects. As in `safe_pickle`, every name such a
pickle may call leads to an inert class of this module.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from poise.readers.untrusted import safe_pickle as safepickle
from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.dicts import DictUnpickler
from poise.readers.untrusted.object_npz import listed, npz_keys, plain_array
from poise.readers.untrusted.safe_pickle import Function, RefusedError, StandIn, StoredArray
from poise.readers.untrusted.unpickler import Unpickler
from poise.runtime.errors import DataError, in_short

Floats = NDArray[np.float64]

#: The full neutral model with 300 shape components has 250 MB.
MAX_BYTES: Final = 2**30
#: Of its pickle, which has some thousands.
MOST_OPCODES: Final = 2**20


def read_body_file(path: Path, keys: Iterable[str]) -> dict[str, Floats]:
    """Read arrays of a body model.

    Args:
        path: ``SMPL_NEUTRAL.pkl``, as downloaded, or an ``.npz`` of plain arrays.
        keys: what to read; sparse and chumpy arrays are returned as plain ones.

    Raises:
        DataError: the file is damaged, lacks a key, or holds something other than data, of which
            nothing was called.
    """
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes are no body model")
    wanted = tuple(keys)
    try:
        budget = Budget(path.stat().st_size, MOST_OPCODES)
        found = _read_npz(path, wanted) if path.suffix == ".npz" else _read_pickle(path, budget)
        missing = [key for key in wanted if key not in found]
        if missing:
            raise DataError(f"{path}: no {', '.join(missing)}; it holds {listed(map(str, found))}")
        return {key: np.asarray(_array(found[key], budget), np.float64) for key in wanted}
    except RefusedError as error:
        raise DataError(
            f"{path}: refused {error}: a body model is made of arrays, sparse matrices and chumpy "
            "arrays; download it again from https://smpl.is.tue.mpg.de"
        ) from error
    except BudgetError as error:
        raise DataError(f"{path}: refused: {error}; no body model looks like that") from error
    except DataError:
        raise
    # A damaged pickle can raise anything.
    except Exception as error:
        raise DataError(
            f"{path}: not a readable body model ({in_short(error)}); copy it again"
        ) from error


class _Stored(StandIn, ABC):
    """Stand-in for an object with a state of its own, which an array is made of once."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.made: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedError(f"a state of type {type(state).__name__}")
        self.state = state

    def array(self, budget: Budget, depth: int) -> NDArray[Any]:
        if self.made is None:
            budget.objects(1, depth=depth)  # one that is made of itself is endlessly deep
            self.made = self._make(budget, depth + 1)
            budget.numbers(self.made.shape)
        return self.made

    @abstractmethod
    def _make(self, budget: Budget, depth: int) -> NDArray[Any]: ...


class _Sparse(_Stored):
    """Stand-in for a compressed sparse column matrix."""

    def _make(self, budget: Budget, depth: int) -> Floats:
        keys = ("data", "indices", "indptr")
        parts: Any = tuple(_array(self.state[key], budget, depth) for key in keys)
        rows, columns = (int(length) for length in self.state["_shape"])
        budget.numbers((rows, columns))
        matrix: Any = sparse.csc_array(parts, shape=(rows, columns))
        # Indices out of bounds would be written to, wherever that is.
        matrix.check_format(full_check=True)
        return np.asarray(matrix.toarray(), np.float64)


class _Chumpy(_Stored):
    """Stand-in for a chumpy array: its numbers, or a selection from another's."""

    def _make(self, budget: Budget, depth: int) -> NDArray[Any]:
        if "x" in self.state:
            return _array(self.state["x"], budget, depth)
        places = _array(self.state["idxs"], budget, depth)
        budget.numbers(places.shape)
        chosen = _array(self.state["a"], budget, depth).ravel()[places]
        return np.reshape(chosen, [int(length) for length in self.state["preferred_shape"]])


class _Object:
    """Stand-in for ``object``, which older protocols name as the base of a class."""


def _construct(kind: Any, *_: Any) -> Any:
    if kind not in (_Sparse, _Chumpy):
        raise RefusedError("an object of another class")
    return kind()


def _set(items: Iterable[Any] = ()) -> list[Any]:
    return list(items)


_NAMES: Final[dict[tuple[str, str], Any]] = {
    **{(f"scipy.sparse.{module}", "csc_matrix"): _Sparse for module in ("csc", "_csc")},
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Chumpy,
    **{(module, "_reconstructor"): Function(_construct) for module in ("copy_reg", "copyreg")},
    **{(module, "object"): _Object for module in ("__builtin__", "builtins")},
    **{(module, "set"): Function(_set) for module in ("__builtin__", "builtins")},
}


class _Unpickler(DictUnpickler):
    classes = (*Unpickler.classes, _Sparse, _Chumpy)
    keys = (str,)

    def find_class(self, module: str, name: str) -> Any:
        known = _NAMES.get((module, name))
        return safepickle.find(module, name) if known is None else known


def _read_pickle(path: Path, budget: Budget) -> dict[Any, Any]:
    with path.open("rb") as stream:
        unpickler = _Unpickler(stream, budget, path.stat().st_size)
        for _ in unpickler.run():
            pass
    found = unpickler.root
    if not isinstance(found, dict):
        raise RefusedError(f"a {type(found).__name__} instead of a dict")
    return found


def _read_npz(path: Path, keys: Iterable[str]) -> dict[Any, Any]:
    present: dict[Any, Any] = dict.fromkeys(npz_keys(path))
    return present | {key: plain_array(path, key) for key in keys if key in present}


def _array(value: Any, budget: Budget, depth: int = 0) -> NDArray[Any]:
    if isinstance(value, _Stored):
        return value.array(budget, depth)
    if isinstance(value, StoredArray):
        value = value.value
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise RefusedError(f"a {type(value).__name__} where numbers belong")
    return value
