"""``poise serve``: what it refuses before it serves."""

import socket
from pathlib import Path

import pytest
from tests.support.mlflow_server import fresh_store

from poise.cli.main import main

NO_MILVUS = ("--milvus-uri", "http://127.0.0.1:9")


def test_an_empty_registry_says_what_to_do(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--tracking-uri", fresh_store(tmp_path), "--port", "0", *NO_MILVUS]
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: ")
    assert "poise sweep" in said


def test_a_taken_port_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", "--port", str(taken.getsockname()[1]), *NO_MILVUS]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: ")
    assert "another port" in said
