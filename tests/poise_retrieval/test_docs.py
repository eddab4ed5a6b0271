"""The page on the PVD says nothing that does not run, and the package stands on its own."""

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import poise_retrieval

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pvd.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MODULES = [
    found.name for found in pkgutil.walk_packages(poise_retrieval.__path__, "poise_retrieval.")
]
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
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 13


def test_it_needs_no_platform(tmp_path: Path) -> None:
    code = f"import sys, {', '.join(MODULES)}; print(*sys.modules)"
    loaded = _python(code, tmp_path).stdout.split()
    assert set(MODULES) <= set(loaded)
    assert not {"ray", "poise", "poise_models", "mlflow", "pymilvus", "milvus_lite"} & set(loaded)


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
