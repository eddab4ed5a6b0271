"""The house rules that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
#: What makes of a file's content whatever the file says.
RUNS_CODE = re.compile(
    r"\ballow_pickle\s*=\s*(?!False\b)|\bpickle\.loads?\b|\byaml\.(unsafe_|full_)?load(_all)?\b"
    r"|(?<!safetensors\.)\btorch\.load\b|\b(import|from)\s+(joblib|marshal|dill)\b|\b(joblib|marshal|dill)\.loads?\b"
)


@pytest.mark.parametrize("root", ["platform", "models", "retrieval"])
def test_source_roots_are_not_packages(root: str) -> None:
    assert not (REPOSITORY / root / "__init__.py").exists(), (
        f"{root}/__init__.py would make {root} a package; platform/ would hide the standard "
        "library's platform and break `import uuid` and Ray"
    )


def test_standard_library_platform_wins_from_the_repository_root() -> None:
    code = "import platform, uuid; print(platform.python_implementation())"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "CPython"


def test_jobs_are_short_executable_scripts() -> None:
    for path in (REPOSITORY / "jobs").glob("[!_]*.py"):
        assert path.stat().st_mode & 0o111, f"{path.name} needs the exec bit for ray job submit"
        lines = path.read_text().splitlines()
        assert lines[0] == "#!/usr/bin/env python3", path.name
        assert len(lines) <= 15, f"{path.name}: a job is a door to a verb of poise"


def test_no_reader_runs_code() -> None:
    for folder in ("platform", "models", "retrieval", "jobs", "benchmarks", "tools"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            text = path.read_text()
            assert not RUNS_CODE.search(text), path
