#!/usr/bin/env python3
"""See everything once: raw poses in, a served refiner out. As ``poise demo``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("demo")
