#!/usr/bin/env python3
"""Run an experiment plan: train, compare, track in MLflow, promote the best. As ``poise sweep``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("sweep")
