"""Read a body model in SMPL's file format (.pkl, .npz) without running anything in it.

The licensed files are pickles with SciPy and chumpy objects. As in `poise.readers.safe_pickle`,
every name such a pickle may call leads to an inert class of this module.
"""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from poise.readers import safe_pickle as safepickle
from poise.readers.safe_pickle import Function, RefusedError, StoredArray
from poise.runtime.errors import DataError

Floats = NDArray[np.float64]

#: The full neutral model with 300 shape components has 250 MB.
MAX_BYTES: Final = 2**30
#: SMPL's joint regressor has 24 x 6890.
MAX_ENTRIES: Final = 10**7


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
        found = _read_npz(path, wanted) if path.suffix == ".npz" else _read_pickle(path)
        missing = [key for key in wanted if key not in found]
        if missing:
            raise DataError(
                f"{path}: no {', '.join(missing)}; it holds {', '.join(map(str, found))}"
            )
        return {key: np.asarray(_array(found[key]), np.float64) for key in wanted}
    except RefusedError as error:
        raise DataError(
            f"{path}: refused {error}: a body model is made of arrays, sparse matrices and chumpy "
            "arrays; download it again from https://smpl.is.tue.mpg.de"
        ) from error
    except DataError:
        raise
    # A damaged pickle can raise anything.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: not a readable body model ({reason}); copy it again") from error


class _Stored:
    """Stand-in for an object with a state of its own."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedError(f"a state of type {type(state).__name__}")
        self.state = state


class _Sparse(_Stored):
    """Stand-in for a compressed sparse column matrix."""

    def array(self) -> Floats:
        parts: Any = tuple(_array(self.state[key]) for key in ("data", "indices", "indptr"))
        rows, columns = (int(length) for length in self.state["_shape"])
        if rows * columns > MAX_ENTRIES:
            raise RefusedError(f"a matrix of {rows:,} x {columns:,}")
        matrix: Any = sparse.csc_array(parts, shape=(rows, columns))
        # Indices out of bounds would be written to, wherever that is.
        matrix.check_format(full_check=True)
        return np.asarray(matrix.toarray(), np.float64)


class _Chumpy(_Stored):
    """Stand-in for a chumpy array: its numbers, or a selection from another's."""

    def array(self) -> NDArray[Any]:
        if "x" in self.state:
            return _array(self.state["x"])
        chosen = _array(self.state["a"]).ravel()[_array(self.state["idxs"])]
        return np.reshape(chosen, [int(length) for length in self.state["preferred_shape"]])


class _Object:
    """Stand-in for ``object``, which older protocols name as the base of a class."""

    def __setstate__(self, state: Any) -> None:
        raise RefusedError("a bare object with a state")


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


# Written in Python, as in `poise.readers.pickle_stream`: the one in C can be asked for any memory.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _NAMES.get((module, name))
        return safepickle.find(module, name) if known is None else known

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError("a persistent id")


def _read_pickle(path: Path) -> dict[Any, Any]:
    with path.open("rb") as stream:
        found = _Unpickler(stream, encoding="latin1").load()
    if not isinstance(found, dict):
        raise RefusedError(f"a {type(found).__name__} instead of a dict")
    return found


def _read_npz(path: Path, keys: Iterable[str]) -> dict[Any, Any]:
    with np.load(path, allow_pickle=False) as archive:
        present: dict[Any, Any] = dict.fromkeys(archive.files)
        for key in keys:
            if key in present:
                size = archive.zip.getinfo(f"{key}.npy").file_size
                if size > MAX_BYTES:
                    raise RefusedError(f"{key}, which unpacks to {size:,} bytes")
                present[key] = archive[key]
        return present


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, _Sparse | _Chumpy):
        return value.array()
    if isinstance(value, StoredArray):
        value = value.value
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise RefusedError(f"a {type(value).__name__} where numbers belong")
    return value
