"""Every command of docs/refine.md, run as it stands there."""

import re
import shlex
from pathlib import Path

import pytest
from tests.support.walking import motion_of, walking

from poise.cli.main import main

PAGE = (Path(__file__).parents[3] / "docs" / "refine.md").read_text()
COMMANDS = re.findall(r"^\$ poise (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    flat = motion_of(walking(60), fps=50.0)
    for name in ("clip.json", "takes/a.json", "takes/b.json", "day1/a.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        flat.write(name)
    space = walking(60)[..., [0, 1, 1]] / 100
    motion_of(space, unit="m", up="-y").write("clip.trc")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works(command: str, files: Path) -> None:
    assert main(shlex.split(command)) == 0


def test_the_python_works(files: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(code, {})  # noqa: S102  # of our own page
    assert (files / "clean.csv").is_file()
