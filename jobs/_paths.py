"""Let a job find Poise where it is not installed: put the checkout's source roots on the path."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("poise") is None:
    _checkout = Path(__file__).resolve().parent.parent
    sys.path[1:1] = [str(_checkout / root) for root in ("platform", "models", "retrieval")]
