"""Deployment files are what their readers expect."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from tests.support.metrics import DASHBOARD, asked_for, defined

from poise.doctor.cluster_file import check_file

REPOSITORY = Path(__file__).parents[1]
#: Files of `ray up`.
LAUNCHED = ("cluster.yaml", "deploy/cluster-local.yaml")


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / name).read_text())
    return content


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_cluster_launcher_accepts_its_files(name: str) -> None:
    validate_config(prepare_config(read(name)))
    assert [found.status for found in check_file(REPOSITORY / name)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [
        ("cluster.yaml", "max_workers: 12", "max_worker: 12", "did you mean max_workers?"),
        ("cluster.yaml", "max_workers: 12", "max_workers: many", "max_workers: 'many' is not"),
        ("cluster.yaml", "max_workers: 12", "max_workers: {secret: x}", "this mapping is not"),
        ("cluster.yaml", "region:", "regoin:", "did you mean region?"),
        ("cluster.yaml", "head_node_type: head", "head_node_type: haed", "head_node_type"),
        ("cluster.yaml", "InstanceMarketOptions:", "InstanceMarketOption:", "InstanceMarketOption"),
        ("cluster.yaml", "{MarketType: spot}", "{MarketTyp: spot}", "MarketTyp"),
        ("cluster.yaml", "g6.4xlarge", "g6.4xlrage", "did you mean g6.4xlarge?"),
        ("cluster.yaml", "min_workers: 0", "min_worker: 0", "'min_worker' was unexpected"),
        ("cluster.yaml", "ssh_user:", "ssh_usr:", "'ssh_usr' was unexpected"),
        ("cluster.yaml", "; RAY_AUTH_MODE=token", ";", "without a token"),
        ("cluster.yaml", "RAY_AUTH_MODE=token $HOME", "$HOME", "without a token: ulimit"),
        ("deploy/cluster-local.yaml", "head_ip:", "head_id:", "head_id"),
        ("deploy/cluster-local.yaml", "worker_ips:", "worker_ip:", "did you mean worker_ips?"),
        ("deploy/cluster-local.yaml", "type: local", "type: locale", "locale"),
    ],
)
def test_a_slip_in_a_file_of_the_launcher_is_told(
    name: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    text = (REPOSITORY / name).read_text()
    assert right in text
    (tmp_path / "cluster.yaml").write_text(text.replace(right, wrong))
    told = [one.found for one in check_file(tmp_path / "cluster.yaml") if one.status == "failed"]
    assert told
    assert said in " ".join(told)


def test_both_clusters_are_set_up_alike() -> None:
    aws, own = map(read, LAUNCHED)
    same = ("file_mounts", "setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    assert [aws[key] for key in same] == [own[key] for key in same]
    starts = [line for key in same[2:] for line in aws[key] if "ray start" in line]
    assert len(starts) == 2
    assert all("; RAY_AUTH_MODE=token " in line for line in starts)
    assert aws["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"  # noqa: S105
    types = aws["available_node_types"]
    spot = {name for name, one in types.items() if "InstanceMarketOptions" in one["node_config"]}
    assert spot == set(types) - {aws["head_node_type"]}


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
