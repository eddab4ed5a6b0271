"""``poise serve``: what it refuses before it serves, and what it tells the service."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store

from poise.cli.main import main
from poise.serving import running_service
from poise.serving.service_args import ServiceArgs

pytestmark = pytest.mark.usefixtures("soon_given_up")
NO_MILVUS = ("--milvus-uri", "http://127.0.0.1:9")


def test_a_model_that_an_empty_registry_lacks_says_what_to_do(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--tracking-uri", fresh_store(tmp_path), "--port", "0", *NO_MILVUS]
    assert main(["serve", "--model", "poise-uiprmd-kinect-3D@champion", *arguments]) == 2
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


@pytest.mark.parametrize("how", ["variable", "option"])
def test_the_service_is_told_every_place(
    how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {
        "POISE_LAKE": "s3://bucket/lake",
        "POISE_MILVUS_URI": "http://milvus:19530",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }
    told: list[ServiceArgs] = []

    @contextmanager
    def running(args: ServiceArgs, *_: Any) -> Iterator[str]:
        told.append(args)
        raise KeyboardInterrupt
        yield ""

    monkeypatch.setattr(running_service, "running_service", running)
    options: list[str] = []
    if how == "variable":
        os.environ |= places
    else:
        for flag, value in zip(
            ("--lake", "--milvus-uri", "--tracking-uri"), places.values(), strict=True
        ):
            options += [flag, value]
    assert main(["serve", *options]) == 0
    assert [told[0].lake, told[0].milvus_uri, told[0].tracking_uri] == list(places.values())
    assert capsys.readouterr().out.endswith("Stopped.\n")
