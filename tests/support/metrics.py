"""Metrics as Prometheus sees them: which the service has, and which the dashboard asks for."""

import json
import re
from pathlib import Path

from ray.util.metrics import Counter, Histogram, Metric

from poise.serving.metrics import SearchMetrics, ServiceMetrics, StepMetrics
from poise.serving.streams.counts import StreamMetrics

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"
#: Counters that nobody sees before the first such frame.
BAD_LUCK = {"ray_poise_stream_frames_late_total", "ray_poise_stream_frames_dropped_total"}


def defined() -> set[str]:
    """Names of the service's own metrics, as Ray exports them."""
    names = set()
    for owner in (ServiceMetrics(), StreamMetrics(), StepMetrics("m"), SearchMetrics()):
        held = vars(owner).values()
        several = [metric for one in held if isinstance(one, dict) for metric in one.values()]
        for metric in (one for one in (*held, *several) if isinstance(one, Metric)):
            name = f"ray_{metric.info['name']}"
            endings = ["_total"] if isinstance(metric, Counter) else [""]
            if isinstance(metric, Histogram):
                endings = ["_bucket", "_count", "_sum"]
            names |= {name + ending for ending in endings}
    return names


def asked_for() -> set[str]:
    """Names of the metrics in the dashboard's queries."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    return {name for query in queries for name in re.findall(r"\bray_\w+", query)}
