"""The connection to an MLflow server or store, for tracking and registry alike."""

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.telemetry import set_telemetry_client

from poise.checkpoints.sqlite_store import check_store, make_store
from poise.runtime.errors import ModelError
from poise.runtime.printable import printable
from poise.runtime.settings import VARIABLES, database
from poise.runtime.telemetry import turn_off_telemetry

#: MLflow's own patience is minutes; a server that is down must not hold anybody up that long.
_IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
}
#: To connect, and to answer that it is well.
_PATIENCE_S = (5.0, 10.0)
#: How requests and MLflow say that a server does not answer.
_NO_ANSWER = ("Max retries exceeded", "ConnectionPool", "Connection aborted", "timed out")
#: What a server that refuses says, and what to do.
_CURES = {
    "Invalid Host header": "its server does not know itself by this address: start it with "
    "`mlflow server --allowed-hosts HOST:PORT`",
    "error code 401 ": "its server asks for a login: MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
}
#: Before what a database says, for whoever wrote the query.
_ADVICE = "(raised as a result of Query-invoked autoflush"
#: A code of MLflow's, or the class of an error of a database.
_CODE = re.compile(r"^([A-Z]+(_[A-Z]+)+: |\([\w.]+\) )")


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client that gives up within seconds where the server does not answer.

    Args:
        tracking_uri: of a server, or ``sqlite:///FILE``, which is made if need be.

    Raises:
        ModelError: it is a server, and does not answer; the message names the variable. Or it is
            a file that cannot be made or opened.
    """
    for name, value in _IMPATIENCE.items():
        os.environ.setdefault(name, value)
    turn_off_telemetry()
    set_telemetry_client()  # as the environment says now
    logging.getLogger("mlflow.tracking").setLevel(logging.WARNING)
    # Shows the traceback of what it then raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    see_that_it_answers(tracking_uri)
    store = database(tracking_uri)
    if store is not None:
        make_store(store)
        check_store(store)
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    if store is not None and "%" in tracking_uri:
        _remove_folder_of_escaped_name(client, tracking_uri)
    return client


def see_that_it_answers(tracking_uri: str) -> None:
    """Raise `ModelError` where it is a server that does not answer, within seconds."""
    if not tracking_uri.startswith(("http://", "https://")):
        return
    try:
        requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=_PATIENCE_S)
    except (requests.RequestException, UnicodeError):
        variable = VARIABLES["tracking_uri"]
        raise ModelError(
            f"the MLflow server at {printable(tracking_uri)} does not answer. It is the one of "
            f"--tracking-uri or ${variable}: start it, name another, or unset ${variable}, and "
            "Poise uses the store of its home"
        ) from None


def in_words(error: Exception) -> str:
    """Return what an error says, in one line and without the names that libraries have for it."""
    text = str(error).strip()
    if any(sign in text for sign in _NO_ANSWER):
        return "its server does not answer"
    for sign, cure in _CURES.items():
        if sign in text:
            return cure
    lines = [line for line in text.splitlines() if not line.startswith(_ADVICE)]
    lines = lines or ["no reason given"]
    return printable(_CODE.sub("", lines[0]))


def _remove_folder_of_escaped_name(client: MlflowClient, tracking_uri: str) -> None:
    """Take away the empty folder that MLflow makes where it takes the escapes for a path."""
    client.search_experiments(max_results=1)  # opens the store
    client.search_registered_models(max_results=1)
    literal = Path(tracking_uri.removeprefix("sqlite:///")).parent
    with suppress(OSError):
        for folder in (literal, *literal.parents):
            if "%" in str(folder):
                folder.rmdir()
