"""Deployment files are what their readers expect."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from tests.support.metrics import DASHBOARD, asked_for, defined

REPOSITORY = Path(__file__).parents[1]


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / name).read_text())
    return content


def test_cluster_launcher_accepts_the_cluster() -> None:
    validate_config(prepare_config(read("cluster.yaml")))


def test_every_node_of_the_cluster_asks_for_the_token() -> None:
    cluster = read("cluster.yaml")
    commands = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all(command.startswith("RAY_AUTH_MODE=token ") for command in starts)
    assert "~/.ray/auth_token" in cluster["file_mounts"]


def test_the_runtime_env_names_the_source_roots() -> None:
    roots = read("runtime_env.yaml")["env_vars"]["PYTHONPATH"].split(":")
    assert roots == ["platform", "models", "retrieval"]
    assert all((REPOSITORY / root).is_dir() for root in roots)


def test_the_dashboard_asks_for_metrics_there_are() -> None:
    """Those of Serve itself are seen to be there in tests/poise/serving/test_app.py."""
    ours = {name for name in asked_for() if not name.startswith("ray_serve_")}
    assert ours <= defined()
    stems = {re.sub("_(bucket|count|sum)$", "", name) for name in ours}
    left_out = {name for name in defined() if re.sub("_(bucket|count|sum)$", "", name) not in stems}
    assert not left_out, "of these the dashboard shows nothing"


def test_the_dashboard_is_laid_out_without_overlaps() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)
    letters = [[target["refId"] for target in panel["targets"]] for panel in panels]
    assert all(len(set(of_panel)) == len(of_panel) for of_panel in letters)
