"""``poise ui``: MLflow's pages on the results."""

import os
import socket
from itertools import islice
from typing import Annotated

import typer

from poise.cli.shared.options import with_settings
from poise.cli.shared.output import say
from poise.runtime.errors import PoiseError
from poise.runtime.settings import STORE, Settings, database

EXAMPLES = """
examples:
  poise ui
  poise ui --home /shared/poise --port 5001

It opens on the plan that changed last: its methods, means over seeds and
folds, and charts. Under Views is every run by itself.
"""

#: So many plans are listed with their links.
_LISTED = 8


@with_settings("home", "tracking_uri")
def ui(
    settings: Settings,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="where to listen")] = 5000,
) -> None:
    """Open MLflow's pages on the tracking store until Ctrl-C."""
    of_the_home = "tracking_uri" not in settings.model_fields_set
    if of_the_home and not (settings.home / STORE).exists():
        raise PoiseError(
            f"{settings.home} holds no results yet; run make demo or poise sweep first"
        )
    import uvicorn

    from poise.checkpoints.mlflow_client import mlflow_client
    from poise.checkpoints.run_files import follow_home
    from poise.experiments.tracking.pages import comparisons, mlflow_app

    client = mlflow_client(settings.tracking_uri)
    follow_home(settings.tracking_uri)
    of_a_server = database(settings.tracking_uri) is None
    address = settings.tracking_uri if of_a_server else f"http://{host}:{port}"
    say(f"MLflow on {settings.tracking_uri}: {address}")
    for name, link in islice(comparisons(client, address), _LISTED):
        say(f"  {name}: {link}")
    if of_a_server:
        return  # it has pages of its own
    _see_that_it_is_free(host, port)
    if of_the_home:
        # MLflow makes the folder of a path, which it reads twice: %25 would become another folder.
        os.chdir(settings.home)
    store = f"sqlite:///{STORE}" if of_the_home else settings.tracking_uri
    uvicorn.run(mlflow_app(store), host=host, port=port, log_level="warning")


def _see_that_it_is_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((host, port))
        except OSError as error:
            raise PoiseError(
                f"cannot listen on {host}:{port} ({error.strerror}): name another place with "
                "--host and --port"
            ) from None
