#!/usr/bin/env python3
"""Bring raw tracks into the lake, their Pose Vector Database into Milvus. As ``poise ingest``."""

import _paths  # noqa: F401  (finds the source roots)

from poise.cli.main import door

if __name__ == "__main__":
    door("ingest")
