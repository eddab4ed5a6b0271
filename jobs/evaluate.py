#!/usr/bin/env python3
"""Score a refiner on raw data, which it may never have seen. As ``poise evaluate``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("evaluate")
