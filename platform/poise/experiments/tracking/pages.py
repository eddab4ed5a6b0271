"""MLflow's own pages on a home's store, opened where a researcher compares.

MLflow 3.17 greets with pages for conversations with language models, and with an assistant that
runs commands on this machine. Its pages keep in the browser what to begin with; the first page that
is served here says it before they look, and leaves what the reader has chosen since.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType

from poise.experiments.tracking.comparison import KIND, link

_BEGIN_WITH = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}
_SCRIPT = """<style>[data-assistant-ui] { display: none !important; }</style><script>
for (const [key, value] of Object.entries(%s)) {
  if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
}
if (location.hash === "" && %s) location.replace(%s);
</script>"""
#: How many experiments are looked through for plans.
_MOST = 200


def comparisons(client: MlflowClient, server: str) -> Iterator[tuple[str, str]]:
    """List name and comparison of every plan on a server, the one that changed last first."""
    found = client.search_experiments(
        view_type=ViewType.ACTIVE_ONLY, order_by=["last_update_time DESC"], max_results=_MOST
    )
    for experiment in found:
        if experiment.tags.get(KIND[0]) == KIND[1]:
            yield experiment.name, link(server, experiment.experiment_id)


def mlflow_app(store: str) -> Any:
    """Return MLflow's server on a store as an ASGI application, for a process of its own.

    Args:
        store: ``sqlite:///FILE``.
    """
    # As `mlflow server` sets them; without tasks for conversations, which wake every minute.
    os.environ |= {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "./mlartifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    warnings.filterwarnings("ignore", module="mlflow")
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import app
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    page = Path(flask_app.static_folder, "index.html").read_text("utf-8")
    client = MlflowClient(tracking_uri=store)

    def begin(_: Any) -> HTMLResponse:
        return HTMLResponse(_first_page(page, lambda: next(comparisons(client, ""), ("", ""))[1]))

    app.router.routes.insert(0, Route("/", begin))
    return app


def _first_page(page: str, start: Callable[[], str]) -> str:
    address = json.dumps(start())
    script = _SCRIPT % (json.dumps(_BEGIN_WITH), address, address)
    return page.replace("<head>", "<head>" + script, 1)
