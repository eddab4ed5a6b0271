"""``poise doctor``: what it prints, how it exits, and that nothing holds it up."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli.main import main


def test_a_home_of_its_own_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "poses").mkdir(parents=True)
    os.environ["POISE_TOKEN"] = "a-secret-of-some-length"  # noqa: S105
    uri = "http://me:hidden@127.0.0.1:9"
    assert main(["doctor", "--json", "--data", str(tmp_path / "data")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is True
    status = {check["name"]: check["status"] for check in told["checks"]}
    assert "failed" not in status.values()
    used = ("packages", "machine.open_files", "disk.home", "data")
    assert [status[name] for name in used] == ["ok"] * 4
    unused = ("ray", "mlflow", "registry", "lake", "milvus")
    assert [status[name] for name in unused] == ["skipped"] * 5
    origin = {one["name"]: one["origin"] for one in told["settings"]}
    assert (origin["data"], origin["home"], origin["lake"]) == ("--data", "$POISE_HOME", "default")
    assert not (tmp_path / "home").exists()
    assert main(["doctor", "--tracking-uri", uri, "--milvus-uri", uri]) == 1
    said = capsys.readouterr().out
    assert "✗ mlflow.answers" in said
    assert "→ start it, name another" in said
    assert "✗ milvus.answers" in said
    assert "3 failed" in said.splitlines()[-1]
    assert "secret" not in said
    assert "hidden" not in said


def test_who_takes_connections_and_is_silent_holds_nothing_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"127.0.0.1:{server.getsockname()[1]}"
        code = "from poise.cli.main import script; script()"
        done = subprocess.run(
            [sys.executable, "-c", code, "doctor", "--json"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "RAY_ADDRESS": silent,
                "MLFLOW_TRACKING_URI": f"http://{silent}",
                "POISE_MILVUS_URI": f"http://{silent}",
                "POISE_LAKE": "s3://bucket/lake",
                "AWS_ENDPOINT_URL": f"http://{silent}",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert not done.stderr
    told = json.loads(done.stdout)
    assert told["seconds"] < 30
    bad = {one["name"].split(".")[0] for one in told["checks"] if one["status"] == "failed"}
    assert {"ray", "mlflow", "lake", "milvus"} <= bad
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())
