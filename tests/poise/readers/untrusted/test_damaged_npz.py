"""Npz files that are damaged, storages that stay away and disks that are full are told apart."""

import io
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
from tests.poise.readers.untrusted.test_object_npz import object_array, whole

from poise.readers.untrusted.located import Unpacked
from poise.readers.untrusted.object_npz import ObjectColumn
from poise.runtime.errors import DataError


def damage_tail(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_middle(content: bytes) -> bytes:
    place = content.index(b"joints_3d.npy") + 600
    return (
        content[:place]
        + bytes(255 - byte for byte in content[place : place + 40])
        + content[place + 40 :]
    )


@pytest.mark.parametrize(
    "damage", [damage_tail, damage_middle, lambda _: b"", lambda c: b"no" * 99]
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_one_clear_error(
    tmp_path: Path, save: Callable[..., None], damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.npz"
    save(path, joints_3d=object_array([np.random.default_rng(0).random((50, 51))]))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.npz"):
        whole(path)


class CutOff(PosixPath):
    """A file whose storage stays away at one of many places."""

    at = 0

    def open(self, *args: Any, **more: Any) -> Any:
        raw = super().open("rb", buffering=0)
        cut = self.at

        class File(io.RawIOBase):
            def read(self, size: int = -1, /) -> bytes:
                if raw.tell() <= cut < raw.tell() + (size if size >= 0 else 10**9):
                    raise OSError("AWS Error NETWORK_CONNECTION during GetObject operation")
                return raw.read(size) or b""

            def close(self) -> None:
                raw.close()

            seek, tell, seekable = raw.seek, raw.tell, raw.seekable

        return File()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_storage_that_stays_away_is_no_damage(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, joints_3d=np.random.default_rng(0).random((50, 51, 60)))
    there = CutOff(path)
    there.at = int(share * path.stat().st_size)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read \(.*NETWORK") as error:
        whole(there, ["joints_3d"])
    assert "damaged" not in str(error.value)


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, joints_3d=object_array([np.zeros((50, 51))] * 3))
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        list(ObjectColumn(path, "joints_3d").locate(Unpacked("there", full)))
