"""``poise`` as a whole: its verbs, their help, the settings they take, how they end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperOption
from typer.main import get_command

from poise.cli import main as command_line
from poise.cli.main import app, main
from poise.cli.shared.commands import ORDER
from poise.refining.options import FILTERS
from poise.runtime.errors import PoiseError
from poise.runtime.settings import VARIABLES, Settings
from poise_models.errors import RefinerError
from poise_retrieval.errors import RetrievalError

#: What each command takes of the settings, by option.
TAKES = {
    "ingest": "home data lake milvus_uri",
    "sweep": "home data lake milvus_uri tracking_uri smpl",
    "report": "home lake tracking_uri",
    "watch": "home",
    "evaluate": "home data lake milvus_uri tracking_uri smpl",
    "tune": "home data lake milvus_uri tracking_uri",
    "analyse quality": "home lake tracking_uri",
    "analyse neighbours": "home lake tracking_uri",
    "analyse ratio": "",
    "analyse latency": "home lake tracking_uri",
    "analyse errors": "data",
    "analyse real": "home data tracking_uri",
    "analyse live": "home lake tracking_uri",
    "analyse simulated": "home data tracking_uri",
    "analyse uncertainty": "home data tracking_uri",
    "promote": "home tracking_uri",
    "serve": "home lake milvus_uri tracking_uri",
    "demo": "home data lake milvus_uri tracking_uri",
    "ui": "home tracking_uri",
    "tracks": "home",
    "mocap": "home",
    "refine": "",
    "stream": "",
    "compare": "",
    "info": "",
    "convert": "",
    "formats": "",
    "fetch": "",
    "check": "home lake",
    "pvd verify": "home lake milvus_uri",
    "pvd rebuild": "home lake milvus_uri",
    "pvd show": "home lake",
    "export": "home tracking_uri",
    "doctor": "home data lake milvus_uri tracking_uri smpl",
}
#: What else a command cannot do without.
NEEDS = {
    "report": ["demo"],
    "watch": ["demo"],
    "evaluate": ["--refiner", "input", "--track", "uiprmd/kinect/3D"],
    "tune": ["--from", "m", "--track", "uiprmd/kinect/3D", "-o", "out"],
    "analyse quality": ["--model", "m"],
    "analyse neighbours": ["--model", "m"],
    "analyse ratio": ["sweep"],
    "analyse latency": ["--model", "m"],
    "analyse errors": ["--track", "uiprmd/kinect/3D"],
    "analyse real": ["--track", "uiprmd/kinect/3D"],
    "analyse live": ["--model", "m"],
    "promote": ["poise-uiprmd-kinect-3D", "--list"],
    "mocap": ["takes", "--out", "data"],
    "refine": ["clip.json"],
    "stream": ["clip.json"],
    "compare": ["clip.json", "true.json"],
    "info": ["clip.json"],
    "convert": ["clip.json", "clip.trc"],
    "pvd verify": ["uiprmd/kinect/3D"],
    "pvd rebuild": ["uiprmd/kinect/3D"],
    "pvd show": ["uiprmd/kinect/3D"],
    "export": ["model", "out.onnx"],
}
VALUES = {
    "home": ("/env/home", "/given/home"),
    "data": ("/env/data", "/given/data"),
    "lake": ("s3://env/lake", "s3://given/lake"),
    "milvus_uri": ("http://env:19530", "http://given:19530"),
    "tracking_uri": ("http://env:5000", "http://given:5000"),
    "smpl": ("/env/smpl", "/given/smpl"),
}


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(leaves(get_command(app)))


def test_help_lists_every_verb_in_the_order_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    listed = said[said.index("Commands:") :].split("\n\n")[0].splitlines()[1:]
    assert tuple(line.split()[0] for line in listed) == ORDER
    assert not any(line.endswith("...") and "Vector" not in line for line in listed)
    assert set(COMMANDS) == set(TAKES)
    assert {name.split()[0] for name in COMMANDS} == set(ORDER)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert f"\n  poise {name}" in said[said.index("\nexample") :]
    assert max(map(len, said.splitlines())) < 80
    for param in COMMANDS[name].params:
        assert getattr(param, "help", ""), f"{name} {param.name} has no help"
    for field in TAKES[name].split():
        assert f"${VARIABLES[field]}" in said


@pytest.mark.parametrize("name", TAKES)
def test_every_setting_reaches_every_command_that_takes_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = TAKES[name].split()
    options = [one.name for one in COMMANDS[name].params if isinstance(one, TyperOption)]
    shared = [option for option in options if option in VARIABLES]
    assert sorted(shared) == sorted(fields)
    seen: list[Settings] = []

    def use(**given: Any) -> Settings:
        seen.append(Settings.load(**given))
        raise PoiseError("far enough")

    monkeypatch.setattr(Settings, "use", use)
    for field in fields:
        from_env, given = VALUES[field]
        os.environ[VARIABLES[field]] = from_env
        line = [*name.split(), *NEEDS.get(name, [])]
        assert main(line) == 2
        assert main([*line, f"--{field.replace('_', '-')}", given]) == 2
        assert [str(getattr(one, field)) for one in seen[-2:]] == [from_env, given]
    # What it has no option for it still takes from the environment.
    os.environ |= {VARIABLES[field]: VALUES[field][0] for field in VALUES}
    if fields:
        main(line)
        assert {str(getattr(seen[-1], field)) for field in VALUES} == {
            v for v, _ in VALUES.values()
        }
    assert "Traceback" not in capsys.readouterr().err


def test_a_mistake_in_a_variable_is_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.environ["POISE_MILVUS_URI"] = "milvus:19530"
    assert main(["tracks"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: POISE_MILVUS_URI: 'milvus:19530' is no URI")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command"),
        (["swep"], "No such command 'swep'. Did you mean 'sweep'? (poise --help)"),
        (["sweep", "--nonsense"], "No such option: --nonsense (poise sweep --help)"),
        (["pvd", "verify"], "(poise pvd verify --help)"),
        (["sw\x1b[2Jeep"], "No such command 'sw\\x1b[2Jeep'"),
        (["ingest", "--exclude", "a\x1b[2J\nb"], "\\x1b[2J\\nb"),
        (["pvd", "verify", "lake", "one", "two"], "name one track"),
        (["ingest", "--writers", "0"], "'--writers'"),
        (["ingest", "--exclude", "nobody"], "'--exclude'"),
        (["evaluate", "--track", "uiprmd/kinect/3D"], "either --model or --refiner"),
        (
            ["mocap", "x", "--out", "y", "--test-subjects", "2", "--test-every", "3"],
            "exclude each other",
        ),
        (["export", "model"], "'OUT'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("poise: ")
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


@pytest.mark.parametrize("error", [PoiseError, RefinerError, RetrievalError])
def test_expected_errors_are_one_line_and_code_2(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(error("it rains"), monkeypatch)
    assert main(["tracks"]) == 2
    assert capsys.readouterr().err == "poise: it rains\n"


def test_our_own_mistakes_show_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(["tracks"])


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("poise.cli.shared.track_table.print_tracks", fail)


@pytest.mark.parametrize(
    ("arguments", "replaced", "message"),
    [
        (["tracks"], "poise.cli.shared.track_table.print_tracks", "poise: interrupted"),
        (
            ["ingest", "--no-pvd", "--track", "synthetic/simulated/3D"],
            "poise.ingest.track.ingest",
            "poise: interrupted; the same command takes up the work again",
        ),
        (
            ["sweep"],
            "poise.experiments.plan.load_plan",
            "poise: interrupted; the same command goes on from here",
        ),
        (
            ["demo"],
            "poise.experiments.plan.load_plan",
            "poise: interrupted; the next run goes on from here",
        ),
    ],
)
def test_ctrl_c_is_130_and_says_how_to_go_on(
    arguments: list[str],
    replaced: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replaced, interrupted)
    assert main(arguments) == 130
    assert capsys.readouterr().err == f"{message}\n"


def test_a_door_is_the_verb_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["jobs/evaluate.py", "--track", "uiprmd"])
    with pytest.raises(SystemExit) as stop:
        command_line.door("evaluate")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("evaluate: ")
    assert "jobs/evaluate.py --help" in said


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys; from poise.cli.main import main; code = main(['sweep', '--help']);"
        "heavy = {'ray', 'torch', 'mlflow', 'pymilvus', 'pyarrow', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "verb",
    [
        "info FILE",
        "convert FILE OUT.npy",
        "formats",
        "compare FILE FILE",
        "refine NONE",
        *(f"refine FILE --refiner {name}" for name in FILTERS),
        "refine FILE --refiner butterworth --cutoff auto --fps 60 --report OUT.html",
    ],
)
def test_keypoint_files_are_answered_without_networks(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text("frame,nose_x,nose_y\n" + "".join(f"{n},{n},{n % 7}\n" for n in range(40)))
    given = verb.replace("FILE", str(path)).replace("NONE", str(tmp_path / "none.csv"))
    words = given.replace("OUT", str(tmp_path / "out")).split()
    code = (
        f"import sys; from poise.cli.main import main; code = main({words});"
        "heavy = {'ray', 'torch', 'mlflow', 'pymilvus', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if "NONE" in verb else 0), done.stderr
    assert "imported" not in done.stderr


@pytest.mark.slow
def test_a_pipe_that_closes_early_is_no_error(tmp_path: Path) -> None:
    code = "import sys; from poise.cli.main import main; sys.exit(main(['tracks', '--json']))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_shell_can_complete_verbs_and_options() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    env |= {"_POISE_COMPLETE": "complete_bash", "COMP_CWORD": "2", "COMP_WORDS": "poise sweep --pu"}
    done = subprocess.run(
        [sys.executable, "-m", "poise"], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["--publish-only"]


def test_no_message_acts_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(PoiseError("label \x1b[2J is twice\nin the file"), monkeypatch)
    assert main(["tracks"]) == 2
    assert capsys.readouterr().err == "poise: label \\x1b[2J is twice\nin the file\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8:strict"])
def test_no_letter_that_the_terminal_lacks_ends_a_command(encoding: str) -> None:
    code = (
        "import logging, sys; from poise.cli.main import main; main(['tracks']);"
        "print('✗ Ζωή \\udcff'); logging.getLogger('x').warning('✗ \\udcff')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert not ran.returncode
    assert b"Traceback" not in ran.stderr
    assert b"\\xff" in ran.stderr


DIES_AT_THE_END = """
import os, sys
from poise.cli.main import door
class Library:
    def __del__(self):
        os.kill(os.getpid(), 11)
kept = Library()
sys.argv = ["tracks", *{arguments}]
door("tracks")
"""


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--nonsense"], 2)])
def test_the_exit_code_is_the_commands_own_whatever_a_library_does_at_the_end(
    arguments: list[str], code: int
) -> None:
    script = DIES_AT_THE_END.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)
