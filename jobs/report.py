#!/usr/bin/env python3
"""Write what came of a sweep as Markdown and as a page. As ``poise report``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("report")
