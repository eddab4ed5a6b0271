"""Whatever pickle is put together, nothing but arrays, lists, texts and numbers comes out of it."""

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.hostile_npz import array, column, honest, piece, write_npz

from poise.readers.untrusted.object_npz import ObjectColumn
from poise.readers.untrusted.safe_pickle import Refused
from poise.readers.untrusted.smpl_file import read_body_file
from poise.runtime.errors import DataError

NUMBERS = b"cnumpy\ndtype\n(S'f4'\ntR"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n"
VALUES: list[Any] = [None, True, 1, 1.5, "text", [], (), [[1.0]], ("value", {})]
#: Pieces of pickles: what pushes an object, and what does something to those that were pushed.
PUSHES = [
    honest(),
    array((2,), bytes(8)),
    NUMBERS,
    RECONSTRUCT,
    b"cnumpy\nndarray\n",
    b"cnumpy\nndarray\n)R",
    b"c_codecs\nencode\n",
    b"c__builtin__\nbytes\n",
    b"cposix\nsystem\n",
    b"cbuiltins\ngetattr\n",
    b"cbuiltins\ndict\n",
    b"\x8c\x05numpy\x8c\x07ndarray\x93",
    *map(piece, VALUES),
    b"N}S'value'\nc__builtin__\nset\ns\x86",  # the state that sets attributes, slots too
    b"}",
    b"\x8f",
    b"(\x91",
    b"C\x02ab",
    b"(i__main__\nThing\n",
    b"\x82\x01",
]
ACTS = [b"b", b"R", b"\x81", b"\x92", b"o", b"a", b"e", b"s", b"u", b"\x90", b"t", b"l", b"d", b"("]
ACTS += [b"0", b"1", b"2", b"\x85", b"\x86", b"\x87", b"\x94", b"\x97", b"\x98", b"Q"]
places = st.integers(0, 4)
memo = st.one_of(
    places.map(lambda place: b"q" + bytes([place])),
    places.map(lambda place: b"h" + bytes([place])),
)
entry = st.lists(st.one_of(st.sampled_from(PUSHES), st.sampled_from(ACTS), memo), max_size=8)


def plain(value: Any) -> Iterator[Any]:
    """Whatever is in a value that is no data."""
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        for one in value:
            yield from plain(one)
    elif isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiubUS" or type(value) is not np.ndarray:
            yield value
    elif type(value) not in (str, bytes, int, float, bool, type(None), Refused):
        yield value


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entries=st.lists(entry, min_size=1, max_size=4))
def test_only_data_come_out_of_an_npz(tmp_path: Path, entries: list[list[bytes]]) -> None:
    content = column(*(b"".join(pieces) for pieces in entries))
    path = write_npz(tmp_path / "a.npz", joints_3d=content)
    try:
        found = list(ObjectColumn(path, "joints_3d"))
    except DataError:
        return
    assert not [odd for value in found for odd in plain(value)]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=entry)
def test_only_numbers_come_out_of_a_body_model(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "body.pkl"
    path.write_bytes(b"\x80\x04}S'key'\n" + b"".join(pieces) + b"s.")
    try:
        found = read_body_file(path, ["key"])
    except DataError:
        return
    assert type(found["key"]) is np.ndarray
    assert found["key"].dtype == np.float64


@pytest.mark.parametrize("made", [b"}", b"\x8f", b"c__builtin__\nset\n"])
def test_an_entry_that_went_out_cannot_be_changed(tmp_path: Path, made: bytes) -> None:
    # The second entry's array is thrown away again: by then the first went out, and a state for
    # attributes gave it another value.
    change = honest() + b"0h\x00N}S'value'\n" + made + b"s\x86b"
    content = column(honest() + b"q\x00", change, b"h\x00")
    with pytest.raises(DataError, match="refused a changed object"):
        list(ObjectColumn(write_npz(tmp_path / "a.npz", joints_3d=content), "joints_3d"))


def test_every_opcode_that_is_not_read_is_refused(tmp_path: Path) -> None:
    names = ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "PERSID", "BINPERSID")
    for code in (getattr(pickle, name) for name in names):
        path = write_npz(tmp_path / "a.npz", joints_3d=column(b"N" + code + struct.pack("<i", 1)))
        with pytest.raises(DataError, match=r"refused (the pickle opcode|a persistent id)"):
            list(ObjectColumn(path, "joints_3d"))
