"""Masked arrays in object-array npz files: what is masked is no number."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.readers.untrusted.object_npz import ObjectColumn


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_what_is_masked_is_no_number(tmp_path: Path, protocol: int, dtype: type) -> None:
    whole_array: NDArray[Any] = np.arange(6).reshape(2, 3).astype(dtype)
    partly = np.ma.masked_array(whole_array, whole_array > 3)
    loose = [1.0, np.ma.masked]
    items = [partly, loose, partly.T, np.ma.masked_array(whole_array), loose[:]]
    column = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        column[place] = item
    file = tmp_path / "a.npz"
    pickled = pickle.dumps(column, protocol=protocol)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|O", "fortran_order": False, "shape": column.shape}
    )
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("joints_3d.npy", head.getvalue() + pickled)
    found = list(ObjectColumn(file, "joints_3d"))
    wanted = np.where(whole_array > 3, np.nan, whole_array)
    for one, other in zip(
        found, (wanted, [1, np.nan], wanted.T, whole_array, [1, np.nan]), strict=True
    ):
        np.testing.assert_array_equal(one, other)
