"""What commands share: several values in a row, a lake that may be left out, tables and bars."""

import logging
import os
import pty
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from poise.cli.shared.commands import interrupt_on_sigterm, one_value_each
from poise.cli.shared.options import bulk_of, lake_and_track, lake_and_tracks
from poise.cli.shared.output import Screen, print_table
from poise.runtime.settings import Settings
from poise_retrieval.errors import ImportFailedError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--a 1 2 --b x", "--a 1 --a 2 --b x"),
        ("--a 1 --a 2", "--a 1 --a 2"),
        ("x --a -1 -.5 2", "x --a -1 --a -.5 --a 2"),
        ("--b x y", "--b x y"),
        ("--a=1 2", "--a=1 2"),
        ("--a 1 -- 2 3", "--a 1 -- 2 3"),
        ("--a", "--a"),
        ("--a --b", "--a --b"),
    ],
)
def test_an_option_that_may_be_repeated_takes_values_in_a_row(given: str, expected: str) -> None:
    assert one_value_each(given.split(), {"--a"}) == expected.split()


def test_sigterm_ends_a_command_that_a_script_started_with_ctrl_c_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt_on_sigterm()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_lake_may_be_left_out() -> None:
    settings = Settings.load(lake="/lake")
    track, other = "uiprmd/kinect/3D", "aist/spin/smpl"
    for given, lake, tracks in [
        ([], "/lake", []),
        ([track, other], "/lake", [track, other]),
        (["s3://motion/lake/3D", track], "s3://motion/lake/3D", [track]),
        ([".poise/lake", "not a track"], ".poise/lake", ["not a track"]),
    ]:
        assert lake_and_tracks(settings, given) == (lake, tracks)
    assert lake_and_track(settings, [track]) == ("/lake", track)
    for wrong in ([], ["lake"], [track, other]):
        with pytest.raises(typer.BadParameter, match="name one track"):
            lake_and_track(settings, wrong)


def test_bulk_needs_a_milvus_that_imports() -> None:
    alone = Settings.load()
    assert bulk_of(alone, None, None) is None
    with pytest.raises(ImportFailedError, match="give both"):
        bulk_of(alone, None, "/there")
    with pytest.raises(ImportFailedError, match="full-size Milvus"):
        bulk_of(alone, "/here", None)
    folder = bulk_of(Settings.load(milvus_uri="http://milvus:19530"), "/here", "/there")
    assert folder is not None
    assert (folder.folder, folder.seen_as) == ("/here", "/there")


def show() -> None:
    print_table(["name", "value"], [["one", "1.0"], ["[two]", "20.0"]], bold=[(1, 1)])
    with Screen("work", "<{line}>") as screen:
        screen.put(["trial", "now"], [["a trial", f"step {n}"] for n in range(100)], left=())
        screen.step(1, 2, "half")
        screen.say("said")
        screen.take_logs("log: %(message)s")
        logging.getLogger("poise").info("[one]", extra={"done": 2, "total": 2})


def test_pipes_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["name   value", "─────  ─────", "one      1.0", "[two]   20.0"]
    assert lines[4:] == ["<[1/2, 0 s left] half>", "<said>", "log: [one]"]


def test_a_terminal_gets_colours_and_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        show()
        monkeypatch.undo()
    read = b""
    with suppress(OSError):  # what a terminal says that nobody writes to any more
        while piece := os.read(leader, 65536):  # it may come in pieces
            read += piece
    os.close(leader)
    said = read.decode()
    assert "\x1b[" in said
    assert "step 0 " not in said  # the terminal is not high enough
    for text in ("[two]", "a trial", "step 99", "half", " 50%", "<said>", "log: [one]", "100%"):
        assert text in said
    assert "s left" not in said
