"""The house rules: source roots without __init__.py, and imports that go one way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = {
    "poise": REPOSITORY / "platform" / "poise",
    "poise_models": REPOSITORY / "models" / "poise_models",
    "poise_retrieval": REPOSITORY / "retrieval" / "poise_retrieval",
}
#: What makes of a file's content whatever the file says.
RUNS_CODE = re.compile(
    r"\ballow_pickle\s*=\s*(?!False\b)|\bpickle\.loads?\b|\byaml\.(unsafe_|full_)?load(_all)?\b"
    r"|(?<!safetensors\.)\btorch\.load\b|\b(joblib|marshal|dill)\b"
)
#: Orchestration, tracking, storage: the models know none of it.
FOREIGN_TO_MODELS = {"ray", "mlflow", "pymilvus", "pyarrow", "fastapi"}


def imported(package: Path) -> set[str]:
    found: set[str] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


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


def test_models_know_neither_platform_nor_retrieval() -> None:
    seen = imported(PACKAGES["poise_models"])
    assert not seen & {"poise", "poise_retrieval", *FOREIGN_TO_MODELS}


def test_retrieval_knows_neither_platform_nor_models() -> None:
    assert not imported(PACKAGES["poise_retrieval"]) & {"poise", "poise_models", "ray", "mlflow"}


def test_jobs_are_short_executable_scripts() -> None:
    for path in (REPOSITORY / "jobs").glob("[!_]*.py"):
        assert path.stat().st_mode & 0o111, f"{path.name} needs the exec bit for ray job submit"
        lines = path.read_text().splitlines()
        assert lines[0] == "#!/usr/bin/env python3", path.name
        assert len(lines) <= 15, f"{path.name}: a job is a door to a verb of poise"


def test_no_reader_runs_code() -> None:
    folders = [*PACKAGES.values(), *(REPOSITORY / name for name in ("jobs", "benchmarks", "tools"))]
    for folder in folders:
        for path in folder.rglob("*.py"):
            text = path.read_text()
            assert not RUNS_CODE.search(text), path
