"""What is written down of a submission's code."""

import subprocess
from pathlib import Path

import pytest

from poise.experiments.tracking import source
from poise.experiments.tracking.source import LONGEST_DIFF, Source
from poise.runtime.settings import VARIABLES


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, in which this module is taken to lie."""
    root = tmp_path / "checkout"
    module = root / "platform" / "poise" / "experiments" / "tracking" / "source.py"
    module.parent.mkdir(parents=True)
    module.write_text("first = 1\n")
    for command in (
        ["init", "-q", "-b", "work"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    monkeypatch.setattr(source, "__file__", str(module))
    monkeypatch.delenv(VARIABLES["commit"], raising=False)
    monkeypatch.setattr("sys.argv", ["/env/bin/poise", "sweep", "--plan", "demo"])
    return module


def test_a_clean_checkout(checkout: Path) -> None:
    found = Source.current()
    assert len(found.commit) == 40
    assert (found.branch, found.dirty, found.diff) == ("work", False, b"")
    assert found.command == "poise sweep --plan demo"
    assert b"\nmlflow==" in found.packages
    facts = found.facts()
    assert facts["dirty"] == "false"
    assert "diff" not in facts
    assert list(found.files()) == ["packages"]


def test_what_nobody_committed_is_kept(checkout: Path) -> None:
    checkout.write_text("first = 2\n")
    found = Source.current()
    assert found.dirty
    assert b"-first = 1\n+first = 2" in found.diff
    name, content = found.files()["diff"]
    assert content == found.diff
    assert found.facts()["diff"] == name
    assert name.startswith(found.commit[:12])


def test_a_long_diff_is_cut(checkout: Path) -> None:
    checkout.write_text("x = 1\n" * LONGEST_DIFF)
    diff = Source.current().diff
    assert LONGEST_DIFF < len(diff) < LONGEST_DIFF + 100
    assert b"the rest is left out" in diff[-100:]


def test_a_job_without_a_checkout_says_what_it_was_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLES["commit"], "feed")
    found = Source.current()
    assert (found.commit, found.dirty, found.diff) == ("feed", None, b"")
    assert "dirty" not in found.facts()


def test_an_installed_poise_knows_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "__file__", "/env/lib/python3/site-packages/poise/a/b/source.py")
    found = Source.current()
    assert (found.commit, found.dirty) == ("unknown", None)


def test_a_password_is_not_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["poise", "sweep", "--tracking-uri", "https://me:pw@host:1/x"])
    assert Source.current().command == "poise sweep --tracking-uri https://host:1/x"
