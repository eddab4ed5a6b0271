#!/usr/bin/env python3
"""Serve a refiner over HTTP until Ctrl-C. As ``poise serve``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("serve")
