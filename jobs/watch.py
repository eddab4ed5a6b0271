#!/usr/bin/env python3
"""Show what a sweep is doing, from another terminal or machine. As ``poise watch``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("watch")
