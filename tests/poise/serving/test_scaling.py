"""How many replicas are wanted, for what they tell."""

import time

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from poise.serving.scaling import ReplicaLoad, autoscaling, replicas_wanted
from poise.serving.streams.counts import StreamCounts

NAME = DeploymentID("refine", "poise")


def context(requests: float, **told: list[float]) -> AutoscalingContext:
    """What Serve tells a policy where replicas tell these, in their order."""
    count = max(map(len, told.values()), default=0)
    replicas = [ReplicaID(str(number), NAME) for number in range(count)]
    return AutoscalingContext(
        deployment_id=NAME,
        deployment_name=NAME.name,
        app_name=NAME.app_name,
        current_num_replicas=count,
        target_num_replicas=count,
        running_replicas=replicas,
        total_num_requests=requests,
        total_queued_requests=0.0,
        aggregated_metrics={
            name: dict(zip(replicas, values, strict=True)) for name, values in told.items()
        },
        raw_metrics={},
        capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=8,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=None,
        config=autoscaling(0, 8, 60.0),
    )


@pytest.mark.parametrize(
    ("requests", "told", "wanted"),
    [
        (0, {}, 0),
        (3, {"busy": [0.1], "late": [0.0], "streams": [0.0]}, 1),
        (17, {"busy": [0.1], "late": [0.0], "streams": [0.0]}, 3),  # a queue
        (0, {"busy": [0.0], "late": [0.0], "streams": [0.0]}, 0),
        (0, {"busy": [0.0, 0.0], "late": [0.0, 0.0], "streams": [0.0, 1.0]}, 1),  # streams alone
        (0, {"busy": [1.0], "late": [0.0], "streams": [40.0]}, 2),
        (2, {"busy": [0.9, 0.9], "late": [0.0, 0.0], "streams": [0.0, 0.0]}, 3),
        (2, {"busy": [0.5, 0.5], "late": [0.5, 0.0], "streams": [9.0, 9.0]}, 3),  # latency
        (2, {"busy": [0.5, 0.2], "late": [0.05, 0.0], "streams": [9.0, 0.0]}, 1),
    ],
)
def test_replicas_follow_requests_streams_and_latency(
    requests: float, told: dict[str, list[float]], wanted: int
) -> None:
    assert replicas_wanted(context(requests, **told)) == (wanted, {})


def test_serve_takes_the_policy_as_it_hands_it_on() -> None:
    config = AutoscalingConfig.model_validate(autoscaling(0, 2, 9.0).model_dump())
    assert isinstance(config.policy, AutoscalingPolicy)
    policy = config.policy.get_policy()
    assert policy(context(9, busy=[1.0], late=[0.0], streams=[0.0])) == (2, {})


def test_a_replica_tells_what_it_did_since_it_was_asked_last() -> None:
    busy = 0.0
    load = ReplicaLoad(lambda: busy, lambda: 3)
    for waited_s in (0.1, 0.2, 5.0, 0.1):
        load.answered(waited_s)
    load.streamed(StreamCounts(frames_in=10, late=4))
    time.sleep(0.01)
    busy = 100.0
    assert load.told() == {"busy": 1.0, "late": 0.4, "streams": 3.0}
    time.sleep(0.01)
    assert load.told() == {"busy": 0.0, "late": 0.0, "streams": 3.0}
    busy = 50.0  # a step counted twice is taken back
    assert load.told()["busy"] == 0.0
