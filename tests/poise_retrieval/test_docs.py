"""The page on the PVD says nothing that does not run, and the package stands on its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import poise_retrieval

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pvd.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CHECKS = """
assert found.ids_BK.shape == (4, 3)
assert all(subjects[i] != subjects[q] for q in range(4) for i in found.ids_BK[q])
assert reference.shape == (4, 8, 51)
assert abs(reference.numpy() - detected).mean() < abs(truth[4:8] - detected).mean()
"""


def test_the_page_runs_as_it_is_written(server: None, tmp_path: Path) -> None:
    assert len(BLOCKS) == 2
    code = "\n".join([*BLOCKS, CHECKS])
    done = _python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pvd" / "rows").is_dir()


def test_it_is_about_ten_lines() -> None:
    for block in BLOCKS:
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 12


def test_it_needs_no_platform(tmp_path: Path) -> None:
    loaded = _python("import poise_retrieval, sys; print(*sys.modules)", tmp_path).stdout.split()
    assert "poise_retrieval.milvus.store" in loaded
    assert not {"ray", "poise", "poise_models", "mlflow", "pymilvus", "milvus_lite"} & set(loaded)


def test_every_public_name_is_there_and_explained() -> None:
    for name in poise_retrieval.__all__:
        thing = getattr(poise_retrieval, name)
        assert not callable(thing) or thing.__doc__, name


@pytest.mark.parametrize("name", re.findall(r"`poise pvd (\w+)", PAGE))
def test_the_page_names_real_commands(name: str) -> None:
    assert name in {"verify", "rebuild", "show"}


def _python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "retrieval"), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
