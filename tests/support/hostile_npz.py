"""Npz files whose members are whatever bytes a test wants, and pickles put together by hand."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.smoothnet_files import DRAW, images, objects

#: A pose array that is in order; as the first entry of every hostile file it must be read.
HONEST = DRAW.random((3, 51)).astype(np.float32)
_BEGIN = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tS'b'\ntR"


def npy(shape: tuple[int, ...], content: bytes, descr: str = "|O", fortran: bool = False) -> bytes:
    head = io.BytesIO()
    fields = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(head, fields)
    return head.getvalue() + content


def write_npz(path: Path, **members: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def column(*entries: bytes) -> bytes:
    """An object array of which every entry is a piece of a pickle that pushes one object."""
    count = struct.pack("<i", len(entries))
    return npy((len(entries),), b"\x80\x02" + object_array(count, b"".join(entries)) + b".")


def object_array(count: bytes, items: bytes) -> bytes:
    return _BEGIN + b"(K\x01J" + count + b"\x85cnumpy\ndtype\n(S'O8'\ntR\x89](" + items + b"etb"


def array(shape: tuple[int, ...], content: bytes, kind: bytes = b"f4") -> bytes:
    """A pushed array of numbers."""
    sizes = b"".join(piece(axis) for axis in shape)
    stored = b"B" + struct.pack("<I", len(content)) + content
    return (
        _BEGIN + b"(K\x01(" + sizes + b"tcnumpy\ndtype\n(S'" + kind + b"'\ntR\x89" + stored + b"tb"
    )


def piece(value: Any) -> bytes:
    """What pushes a value in a pickle of the second protocol, without a memo."""
    made = io.BytesIO()
    pickler = pickle.Pickler(made, protocol=2)
    pickler.fast = True
    pickler.dump(value)
    return made.getvalue()[2:-1]


def honest() -> bytes:
    return array(HONEST.shape, HONEST.tobytes())


def names(*sequences: str) -> bytes:
    made = io.BytesIO()
    entries = objects([images(name, len(HONEST)) for name in sequences])
    np.lib.format.write_array(made, entries, allow_pickle=True)
    return made.getvalue()
