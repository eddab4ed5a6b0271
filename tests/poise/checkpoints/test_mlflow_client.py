"""A tracking server that does not answer is told soon, by its variable, in plain words."""

import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException, RestException

from poise.checkpoints.mlflow_client import in_words, mlflow_client
from poise.cli.main import main
from poise.runtime.errors import ModelError

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize("uri", [DEAD, "https://127.0.0.1:9/", "http://nosuchhost.invalid:5000"])
def test_a_server_that_is_not_there_is_told_soon(uri: str) -> None:
    begin = time.monotonic()
    with pytest.raises(ModelError, match="does not answer") as caught:
        mlflow_client(uri)
    assert time.monotonic() - begin < 30
    assert "--tracking-uri or $MLFLOW_TRACKING_URI" in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        ["export", "poise-uiprmd-kinect-3D@champion", "m.onnx"],
        ["evaluate", "--model", "poise-uiprmd-kinect-3D", "--track", "synthetic/simulated/3D"],
    ],
)
def test_a_command_that_needs_it_names_the_variable_in_one_line(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    assert main([*command, "--home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "$MLFLOW_TRACKING_URI" in said
    assert len(said.splitlines()) == 1
    assert not any(word in said for word in ("Exception", "HTTPConnectionPool", "Error"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            MlflowException(
                "API request to http://a/api failed with exception "
                "HTTPConnectionPool(host='a', port=9): Max retries exceeded with url: /api"
            ),
            "its server does not answer",
        ),
        (RestException({"error_code": "INTERNAL_ERROR", "message": "no space"}), "no space"),
        (
            Exception("(sqlite3.OperationalError) no such table: runs\n[SQL: SELECT]"),
            "no such table: runs",
        ),
        (
            MlflowException(
                "(raised as a result of Query-invoked autoflush; consider using a block)\n"
                "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT]"
            ),
            "database or disk is full",
        ),
        (
            MlflowException(
                "API request to endpoint /api/x failed with error code 403 != 200. "
                "Response body: 'Invalid Host header - possible DNS rebinding attack detected'"
            ),
            "its server does not know itself by this address: start it with "
            "`mlflow server --allowed-hosts HOST:PORT`",
        ),
        (
            MlflowException(
                "API request to endpoint /api/x failed with error code 401 != 200. "
                "Response body: 'You are not authenticated.'"
            ),
            "its server asks for a login: MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        ),
        (OSError(), "no reason given"),
    ],
)
def test_errors_are_told_in_words(error: Exception, words: str) -> None:
    assert in_words(error) == words
