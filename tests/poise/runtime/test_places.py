"""What is said of a place that fails."""

import errno

import pytest

from poise.runtime.places import storage_fault


def _os_error(number: int, file: str | None = None) -> OSError:
    return OSError(number, "Input/output error", file)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_os_error(errno.ENOSPC), "cannot write to s3://lake/x: No space left"),
        (_os_error(errno.EIO, "/raw/a.npz"), "cannot read /raw/a.npz: input/output error"),
        (_os_error(errno.EIO), "cannot read raw files, or write to s3://lake/x: input/output"),
        (OSError("When uploading to lake/x/y: AWS Error"), "cannot write to s3://lake/x: When"),
    ],
)
def test_reading_is_told_from_writing(error: OSError, says: str) -> None:
    assert storage_fault("s3://lake/x", error).startswith(says)
