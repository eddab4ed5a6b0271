"""How many replicas there are to be: what each tells of its load, and what follows from it."""

import math
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from poise.serving.streams.counts import StreamCounts

#: Requests a replica has at a time before another one is started.
TARGET_REQUESTS: Final = 8
#: Share of its time that a replica's network may be busy before another one is started.
BUSY_SHARE: Final = 0.8
#: Share of requests and frames that may be late before another one is started.
LATE_SHARE: Final = 0.1
#: A request that waited for longer than this, while others were refined, is late.
LATE_S: Final = 1.0


class ReplicaLoad:
    """What a replica did since it was asked last.

    Args:
        busy_s: seconds that its network has worked until now.
        streams: how many are open.
    """

    def __init__(self, busy_s: Callable[[], float], streams: Callable[[], int]) -> None:
        self._busy_s, self._streams = busy_s, streams
        self._lock = Lock()
        self._before_s, self._began = busy_s(), time.monotonic()
        self._requests = self._late_requests = self._frames = self._late_frames = 0

    def answered(self, waited_s: float) -> None:
        """Count a request that waited for so long in all."""
        with self._lock:
            self._requests += 1
            self._late_requests += waited_s > LATE_S

    def streamed(self, counts: StreamCounts) -> None:
        """Count what streams did."""
        with self._lock:
            self._frames += counts.frames_in
            self._late_frames += counts.late

    def told(self) -> dict[str, float]:
        """Shares of time that the network was busy, of requests or frames late, and open streams.

        What was counted is forgotten.
        """
        with self._lock:
            busy_s, now = self._busy_s(), time.monotonic()
            late = max(
                self._late_requests / max(self._requests, 1),
                self._late_frames / max(self._frames, 1),
            )
            # A step that ends while it is asked for can count twice, and is then taken back.
            busy = (busy_s - self._before_s) / max(now - self._began, 1e-3)
            self._before_s, self._began = busy_s, now
            self._requests = self._late_requests = self._frames = self._late_frames = 0
        return {"busy": min(max(busy, 0.0), 1.0), "late": late, "streams": float(self._streams())}


def replicas_wanted(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """As many as requests and busy networks ask for, and one more while answers are late.

    Serve knows of requests alone: to it streams are no load at all, and it would end a replica
    whose streams go on. It keeps to the bounds and delays of the configuration afterwards.
    """
    told = context.aggregated_metrics or {}
    busy, late, streams = (told.get(name, {}).values() for name in ("busy", "late", "streams"))
    requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    wanted = max(requests, sum(busy) / BUSY_SHARE, 1.0 if any(streams) else 0.0)
    if late and sum(late) / len(late) > LATE_SHARE:
        wanted = max(wanted, context.current_num_replicas + 1)
    return math.ceil(wanted), {}


def autoscaling(fewest: int, most: int, downscale_delay_s: float) -> AutoscalingConfig:
    """How Serve is to keep between so many replicas.

    Args:
        fewest: that always run.
        most: that may run.
        downscale_delay_s: how long fewer must do before one is stopped.
    """
    return AutoscalingConfig(
        min_replicas=fewest,
        max_replicas=most,
        target_ongoing_requests=TARGET_REQUESTS,
        look_back_period_s=15.0,
        upscale_delay_s=5,
        downscale_delay_s=downscale_delay_s,
        policy=AutoscalingPolicy(policy_function=replicas_wanted),
    )
