"""Nothing that Poise starts reports its use to whoever made the libraries."""

import os
from collections.abc import MutableMapping

OFF = {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}


def turn_off_telemetry(environment: MutableMapping[str, str] = os.environ) -> None:
    """Turn reports of use off in this process and those it starts; what the user set stays.

    Ray and MLflow read it as they are imported, and in some processes again when they report.

    Args:
        environment: what to change.
    """
    for name, value in OFF.items():
        environment.setdefault(name, value)
