"""``poise ui`` on a home of any name leaves nothing beside it."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
from tests.support.mlflow_server import fresh_store
from tests.support.ports import free_port

COMMAND = "import sys; from poise.cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_the_pages_of_a_home_whose_name_looks_like_an_escape(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "per%41 c#ent?" / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    fresh_store(home)
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "ui", "--home", str(home), "--port", str(port)],
        cwd=elsewhere,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name"
        answer = _answer(url, server)
    finally:
        server.terminate()
        server.wait(60)
    assert answer["experiment"]["name"] == "Default"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "per%41 c#ent?"]
    assert list(elsewhere.iterdir()) == []


def _answer(url: str, server: "subprocess.Popen[bytes]") -> dict[str, dict[str, str]]:
    deadline = time.monotonic() + 240
    while True:
        try:
            found = httpx.get(url, params={"experiment_name": "Default"}, timeout=30).json()
            assert isinstance(found, dict)
            return found
        except httpx.HTTPError:
            assert server.poll() is None, "it ended"
            assert time.monotonic() < deadline
            time.sleep(0.5)
