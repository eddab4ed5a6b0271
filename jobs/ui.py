#!/usr/bin/env python3
"""Open MLflow's pages on the home's tracking store until Ctrl-C."""

import argparse
import os
import sys
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)

from poise.runtime.settings import Settings


def main() -> None:
    """Become the MLflow server."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Compare trials: choose the experiment, tick runs, press Compare.",
    )
    parser.add_argument("--home", type=Path, help="default: $POISE_HOME or .poise")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5000, help="default: 5000")
    options = parser.parse_args()
    settings = Settings.load(home=options.home)
    if not (settings.home / "mlflow.db").exists() and "MLFLOW_TRACKING_URI" not in os.environ:
        sys.exit(f"ui: {settings.home} holds no results yet; run make demo or jobs/sweep.py first")
    print(f"MLflow on {settings.tracking_uri}: http://{options.host}:{options.port}", flush=True)
    store = ["--backend-store-uri", settings.tracking_uri]
    place = ["--host", options.host, "--port", str(options.port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *store, *place])  # noqa: S606


if __name__ == "__main__":
    main()
