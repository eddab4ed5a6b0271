"""An ingest killed anywhere, ten times over, ends in the very rows of one that was not."""

import hashlib
import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.support import killable

from poise.catalog.tracks import Track
from poise.lake.manifest import has_track
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences

TRACK = Track.parse("uiprmd/kinect/3D")
KILLS = 10


class Runs:
    """Ingests that begin at once, forked from a process that has imported everything."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.support.killable"])

    def start(self, place: Path) -> tuple[BaseProcess, Connection]:
        here, there = self._context.Pipe()
        process = self._context.Process(target=killable.run, args=(self._data, place, there))
        process.start()
        there.close()
        assert here.recv() == "begin"
        return process, here

    def to_the_end(self, place: Path) -> float:
        process, said = self.start(place)
        clock = time.monotonic()
        assert said.recv() == "end"
        seconds = time.monotonic() - clock
        process.join(60)
        assert process.exitcode == 0
        return seconds


def contents(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def wait_for_a_file(process: BaseProcess, place: Path) -> None:
    """Return when there is something to leave behind: no clock says when that is."""
    while process.is_alive() and not any(set(files) - {"lock"} for *_, files in os.walk(place)):
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.chaos
def test_killed_ten_times(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split, people in (("train", 6), ("test", 2)):
        write_smoothnet(data, TRACK, split, sequences(split, Size(people, 5, 300)))
    runs = Runs(data)
    seconds = runs.to_the_end(tmp_path / "undisturbed")
    expected = contents(tmp_path / "undisturbed")
    assert sum("sequences" in name for name in expected) > 4

    chance = random.Random(3)
    place = tmp_path / "lake"
    killed = littered = 0
    for kill in range(KILLS):
        process, _ = runs.start(place)
        if kill % 2:
            wait_for_a_file(process, place)
            time.sleep(chance.uniform(0, seconds) / 4)
        else:
            time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.join(60)
        killed += not has_track(place, TRACK)
        littered += len(contents(place)) > 0
    runs.to_the_end(place)
    assert killed > 0
    assert littered > 0
    assert contents(place) == expected
