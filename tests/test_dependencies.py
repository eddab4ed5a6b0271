"""What Poise is built on may be used by anybody, and is pinned."""

import re
import tomllib
from pathlib import Path

import pytest
from tools.licences import LOCK, _family, _name, _pinned

PROJECT = tomllib.loads((LOCK.parent / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ("MIT License", "MIT"),
        ("Apache-2.0 AND (BSD-2-Clause OR MIT)", "Apache-2.0 and BSD-2-Clause and MIT"),
        ("DFSG approved; MIT License", "MIT"),
        ("UNKNOWN", None),
        ("GPLv3", None),
        ("Apache-2.0 AND GPL-3.0", None),
        ("Software Copyright License for non-commercial scientific research purposes", None),
    ],
)
def test_a_licence_that_is_not_known_to_be_free_is_refused(said: str, family: str | None) -> None:
    assert _family("a-package", said) == family


def test_nothing_that_forbids_commercial_use_is_installed() -> None:
    assert "smplx" not in _pinned()
    assert "smplx" not in Path(LOCK.parent, "pyproject.toml").read_text().partition("[tool.")[0]


def test_every_dependency_is_in_the_lock() -> None:
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    names = {_name(re.split(r"[\[<>=;]", line)[0].strip()) for line in wanted} - {"poise"}
    assert names <= _pinned()
