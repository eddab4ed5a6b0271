"""How results are printed: aligned text in a pipe, the best in bold in a terminal."""

import os
import pty
import re
import sys
from contextlib import suppress

import pytest

from poise.cli.shared.results import print_entries
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import PoseErrors
from poise.evaluation.scored import Scored
from poise.evaluation.tables import Entry


def entry(refiner: str, track: str, mpjpe: float, accel: float) -> Entry:
    sequence = Scored("a", "S2", PoseErrors(mpjpe, 40.0, accel, accel, 12_345))
    row = Row(track, refiner, 0, mpjpe, 40.0, accel, accel, 12_345, 0, 1.5)
    return Entry(row, sequences=[sequence])


ENTRIES = [
    entry("input", "uiprmd/kinect/3D", 126.3, 9.1),
    entry("gaussian1d", "uiprmd/kinect/3D", 125.9, 0.8),
    entry("input", "jhmdb/simplepose/2D", 4.0, 2.0),
]


_ACCEL = ["+8.30", "[+8.30,", "+8.30]"]


def test_a_pipe_gets_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_entries(ENTRIES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "uiprmd/kinect/3D, 12,345 frames"
    assert lines[1].startswith("Refiner ")
    assert "mm/frame²" in lines[1]
    ends = {
        line.index(number) + len(number)
        for line, number in zip(lines[3:5], ("9.10", "0.80"), strict=True)
    }
    assert len(ends) == 1
    assert lines[5:7] == [
        "",
        "uiprmd/kinect/3D, larger than the smallest of the column by, with 95 % intervals",
    ]
    assert lines[9].split() == ["Input", "+0.40", "[+0.40,", "+0.40]", "smallest", *_ACCEL]
    assert lines[12:14] == ["", "jhmdb/simplepose/2D, 12,345 frames"]
    assert "\x1b" not in "".join(lines)


def test_a_terminal_shows_the_best_in_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        print_entries(ENTRIES[:2])
        monkeypatch.undo()
    said = b""
    with suppress(OSError):  # what a terminal says that nobody writes to any more
        while piece := os.read(leader, 65536):  # it may come in pieces
            said += piece
    os.close(leader)
    bold = {text.strip() for text in re.findall(r"\x1b\[1;32m(.*?)\x1b\[0m", said.decode())}
    assert bold == {"125.90", "0.80"}
