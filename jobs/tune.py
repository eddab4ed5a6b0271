#!/usr/bin/env python3
"""Tune a trained network on pairs of one's own. As ``poise tune``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("tune")
