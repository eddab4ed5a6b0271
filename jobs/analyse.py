#!/usr/bin/env python3
"""Look into a trained SynSP++ the way its paper does. As ``poise analyse``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("analyse")
