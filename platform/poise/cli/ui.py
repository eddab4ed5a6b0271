"""``poise ui``: MLflow's pages on the results."""

import os
import sys
from typing import Annotated

import typer

from poise.cli.shared.options import with_settings
from poise.cli.shared.output import say
from poise.runtime.errors import PoiseError
from poise.runtime.settings import STORE, Settings

EXAMPLES = """
examples:
  poise ui
  poise ui --home /shared/poise --port 5001

Compare trials: choose the experiment, tick runs, press Compare.
"""


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
    from poise.checkpoints.run_files import database, follow_home
    from poise.checkpoints.sqlite_store import check_store, make_store

    store_file = database(settings.tracking_uri)
    if store_file is not None:
        make_store(store_file)
        check_store(store_file)
    follow_home(settings.tracking_uri)
    say(f"MLflow on {settings.tracking_uri}: http://{host}:{port}")
    uri = settings.tracking_uri
    if of_the_home:
        # MLflow makes the folder of a path, which it reads twice: %25 would become another folder.
        os.chdir(settings.home)
        uri = f"sqlite:///{STORE}"
    store = ["--backend-store-uri", uri]
    place = ["--host", host, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *store, *place])  # noqa: S606
