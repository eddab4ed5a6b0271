"""Any damage to a text file is either harmless or an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.takes import write_amc, write_asf, write_bvh

from poise.mocap.formats.amc import read_amc
from poise.mocap.formats.asf import read_asf
from poise.mocap.formats.bvh import read_bvh
from poise.runtime.errors import DataError

FRAMES = 6


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, float, bytes]:
    kind = draw(st.sampled_from(["cut", "insert", "overwrite", "drop line", "double line"]))
    return kind, draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=4))


def damaged(content: bytes, edit: tuple[str, float, bytes]) -> bytes:
    kind, part, junk = edit
    place = int(len(content) * part)
    lines = content.splitlines(keepends=True)
    line = min(int(len(lines) * part), len(lines) - 1)
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + junk + content[place:]
    if kind == "overwrite":
        return content[:place] + junk + content[place + len(junk) :]
    if kind == "drop line":
        return b"".join(lines[:line] + lines[line + 1 :])
    return b"".join(lines[: line + 1] + lines[line:])


@pytest.mark.parametrize("kind", ["asf", "amc", "bvh"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edit=edits())
def test_damage_is_harmless_or_named(
    tmp_path: Path, kind: str, edit: tuple[str, float, bytes]
) -> None:
    asf = write_asf(tmp_path / "01.asf")
    amc = write_amc(tmp_path / "01_01.amc", FRAMES)
    bvh = write_bvh(tmp_path / "01_01.bvh", FRAMES)
    file = {"asf": asf, "amc": amc, "bvh": bvh}[kind]
    file.write_bytes(damaged(file.read_bytes(), edit))
    try:
        points = read_bvh(bvh).positions() if kind == "bvh" else read_amc(amc, read_asf(asf))
    except DataError as error:
        said = str(error)
    else:
        said = ""
        assert np.isfinite(points).all()
        assert 1 <= len(points) <= FRAMES + (kind == "bvh")  # one more than told is taken
    assert not said or str(file) in said
