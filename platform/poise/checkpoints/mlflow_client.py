"""The connection to an MLflow server or store, for tracking and registry alike."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient

from poise.checkpoints.run_files import database

#: MLflow's own patience is minutes; a server that is down must not hold anybody up that long.
_IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
}


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client that gives up within seconds where the server does not answer.

    Args:
        tracking_uri: of a server, or ``sqlite:///FILE``, whose folder is made if need be.
    """
    for name, value in _IMPATIENCE.items():
        os.environ.setdefault(name, value)
    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    store = database(tracking_uri)
    if store is not None:
        store.parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    if store is not None and "%" in tracking_uri:
        _remove_folder_of_escaped_name(client, tracking_uri)
    return client


def _remove_folder_of_escaped_name(client: MlflowClient, tracking_uri: str) -> None:
    """Take away the empty folder that MLflow makes where it takes the escapes for a path."""
    client.search_experiments(max_results=1)  # opens the store
    client.search_registered_models(max_results=1)
    literal = Path(tracking_uri.removeprefix("sqlite:///")).parent
    with suppress(OSError):
        for folder in (literal, *literal.parents):
            if "%" in str(folder):
                folder.rmdir()
