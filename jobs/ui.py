#!/usr/bin/env python3
"""Open MLflow's pages on the results until Ctrl-C. As ``poise ui``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("ui")
