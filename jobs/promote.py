#!/usr/bin/env python3
"""Make a version or a run the champion of its model. As ``poise promote``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("promote")
