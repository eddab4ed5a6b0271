import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poise.runtime.errors import BusyError
from poise.runtime.locks import exclusive


def test_a_folder_is_held_by_one_and_freed_by_any_death(tmp_path: Path) -> None:
    code = (
        "import sys, time; from poise.runtime.locks import exclusive\n"
        f"with exclusive({str(tmp_path)!r}): print('held', flush=True); time.sleep(600)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} on "), exclusive(str(tmp_path)):
            pass
    finally:
        holder.kill()
        holder.wait()
    with exclusive(str(tmp_path)):
        assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_other_storage_is_held_through_the_cluster(cluster: None) -> None:
    with exclusive("memory://bucket/sweep"):
        with (
            pytest.raises(BusyError, match=f"process {os.getpid()} on "),
            exclusive("memory://bucket/sweep"),
        ):
            pass
        with exclusive("memory://bucket/another"):
            pass
    deadline = time.monotonic() + 30
    while True:
        # A killed actor's name is free a moment later.
        with contextlib.suppress(BusyError), exclusive("memory://bucket/sweep"):
            break
        assert time.monotonic() < deadline
