"""``poise ui``: the pages of a home, seen from a client and from a browser."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.ports import free_port
from tests.support.written_sweep import TRACK, finish, train, written_sweep

from poise.cli.main import main
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.tracking.comparison import EVERY_RUN, link

COMMAND = "import sys; from poise.cli.main import main; sys.exit(main(sys.argv[1:]))"
#: Generous: on a busy machine a browser takes minutes to draw ten charts.
PATIENCE_S = 240


@contextmanager
def pages(home: Path, cwd: Path) -> Iterator[str]:
    """Serve the pages of a home; gives their address."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "ui", "--home", str(home), "--port", str(port)],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            httpx.get(url, timeout=30).raise_for_status()
            return
        except httpx.HTTPError:
            assert server.poll() is None, "it ended"
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_the_pages_of_a_home_whose_name_looks_like_an_escape(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "per%41 c#ent?" / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    fresh_store(home)
    with pages(home, elsewhere) as address:
        url = f"{address}/api/2.0/mlflow/experiments/get-by-name"
        found = httpx.get(url, params={"experiment_name": "Default"}, timeout=60).json()
        first = httpx.get(address, timeout=60).text
    assert found["experiment"]["name"] == "Default"
    assert 'location.hash === "" && ""' in first  # nothing to open yet
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "per%41 c#ent?"]
    assert list(elsewhere.iterdir()) == []


def test_a_place_that_is_taken_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh_store(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = str(other.getsockname()[1])
        assert main(["ui", "--home", str(tmp_path), "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_pages_open_on_the_comparison(server: None, tmp_path: Path) -> None:
    """In a browser, with 24 runs: methods and charts first, then every run with what it is of."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    playwright = pytest.importorskip("playwright.sync_api")
    if browser is None:
        pytest.skip("no chromium on this machine")
    sweep, specs = written_sweep(tmp_path, seeds=22)
    for number, spec in enumerate(specs):
        train(sweep, spec, 3)
        finish(sweep, spec, 0.5 + number / 100)
    sweep.write_table(
        "table.md", b"### a track\n\n| Refiner | MPJPE |\n| --- | ---: |\n| A | 1 |\n"
    )
    store = fresh_store(tmp_path)
    MlflowMirror(sweep, store, str(tmp_path / "mlartifacts")).publish(running=False)
    with pages(tmp_path, tmp_path) as address, playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1600, "height": 1600})
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(address)
        page.get_by_text("Group: SmoothNet").wait_for()
        page.get_by_text("25 matching runs").wait_for()
        page.get_by_text("test_mpjpe vs. test_accel").wait_for()
        page.get_by_text("Learning curves").wait_for()
        page.get_by_text("Plan mirrored").first.wait_for()
        assert "/runs?viewStateShareKey=poise-methods" in page.url
        assert not page.get_by_text("MLflow Assistant").is_visible()
        assert not page.get_by_text("Evaluation runs").is_visible()

        page.get_by_test_id("saved-views-trigger").click()
        page.get_by_test_id(f"saved-views-item-{EVERY_RUN}").wait_for()
        # A page of its own: only the part after # differs, and that loads nothing.
        page = chromium.new_page(viewport={"width": 1900, "height": 1600})
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(link(address, "1", EVERY_RUN))
        page.get_by_text(f"SmoothNet · {TRACK} · seed 21").wait_for()
        page.get_by_text(f"{TRACK} (cafe)").first.wait_for()
        page.get_by_text("poise sweep --plan mirrored").first.wait_for()
        page.get_by_text("test_pa_mpjpe").first.wait_for()
        chromium.close()
