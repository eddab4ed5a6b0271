"""``jobs/serve.py`` as a user runs it, and ``deploy/serve.yaml`` as Serve reads it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray
import yaml
from pydantic import BaseModel, ValidationError
from ray import serve
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    LoggingConfig,
    ServeApplicationSchema,
    ServeDeploySchema,
)
from tests.support.serving import clip, save_untrained
from tests.support.tiny_lake import write_tiny_lake

from poise.serving.intake.connections import PROXY_ENV
from poise.serving.service_args import ServiceArgs

REPOSITORY = Path(__file__).resolve().parents[2]
JOB = REPOSITORY / "jobs" / "serve.py"
CONFIG = yaml.safe_load((REPOSITORY / "deploy" / "serve.yaml").read_text())


def unknown_keys(given: dict[str, Any], schema: type[BaseModel]) -> set[str]:
    return set(given) - set(schema.model_fields)


def test_the_serve_config_has_no_key_that_serve_would_overlook() -> None:
    assert not unknown_keys(CONFIG, ServeDeploySchema)
    assert not unknown_keys(CONFIG["http_options"], HTTPOptionsSchema)
    assert not unknown_keys(CONFIG["logging_config"], LoggingConfig)
    for application in CONFIG["applications"]:
        assert not unknown_keys(application, ServeApplicationSchema)
        for deployment in application.get("deployments", []):
            assert not unknown_keys(deployment, DeploymentSchema)
    ServeDeploySchema.model_validate(CONFIG)


def test_the_proxies_of_the_serve_config_are_those_that_poise_starts() -> None:
    assert CONFIG["controller_options"]["runtime_env"]["env_vars"] == PROXY_ENV


def test_the_serve_config_builds_our_application() -> None:
    [application] = CONFIG["applications"]
    module, name = application["import_path"].split(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))
    args = ServiceArgs.model_validate(application["args"])
    assert args.model == "poise-uiprmd-kinect-3D@champion"
    with pytest.raises(ValidationError, match="modle"):
        ServiceArgs.model_validate({"modle": "x"})


def job(*arguments: str, **more: str) -> subprocess.Popen[str]:
    # No PYTHONPATH: the job has to find the packages by itself.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "POISE_HOME")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **more}
    return subprocess.Popen(
        [sys.executable, str(JOB), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    )


@contextmanager
def started(*arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the job until it names its URL; kill it if the test has not stopped it."""
    process = job(*arguments, **env)
    output = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            found = re.search(r"Serving \S+ at (http://\S+)", line)
            if found:
                yield process, found[1]
                return
        pytest.fail("".join(output))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_help_teaches() -> None:
    output, _ = job("--help").communicate(timeout=60)
    for word in ("--model", "--port", "champion", "serve deploy deploy/serve.yaml"):
        assert word in output


@pytest.mark.slow
def test_it_serves_on_loopback_alone_and_leaves_nothing_running(
    server: None, tmp_path: Path
) -> None:
    with serving(tmp_path) as (process, url):
        found = listeners(process)
        assert int(url.rsplit(":", 1)[1]) in {port for _, _, port in found}
        elsewhere = [one for one in found if not ip_address(one[1]).is_loopback]
        assert elsewhere == []
        assert ended(process, signal.SIGINT) == []


def listeners(process: subprocess.Popen[str]) -> list[tuple[str, str, int]]:
    """Name of a process, host and port of all that a job and what it started listen on."""
    job = psutil.Process(process.pid)
    found = []
    for one in (job, *job.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            for connection in one.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    host = connection.laddr.ip.removeprefix("::ffff:")
                    found.append((one.name(), host, connection.laddr.port))
    return found


@pytest.mark.slow
def test_on_a_cluster_that_goes_on_it_leaves_no_service(cluster: None, tmp_path: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    with serving(tmp_path, RAY_ADDRESS=address) as (process, url):
        assert ended(process, signal.SIGTERM) == []
    left = serve.status()
    assert (left.applications, left.proxies) == ({}, {})
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


@contextmanager
def serving(home: Path, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the job with a checkpoint, and a lake whose PVD was never built; see that it answers."""
    checkpoint = save_untrained(home / "mine")
    write_tiny_lake(home / "lake")
    arguments = ("--model", checkpoint, "--home", str(home), "--port", "0")
    with started(*arguments, **env) as (process, url):
        body = {"poses": clip(9).tolist()}
        answer = httpx.post(f"{url}/v1/refine", json=body, timeout=60).json()
        assert (answer["frames"], answer["model"]["name"]) == (9, "mine")
        assert answer["retrieval"] == "unavailable"
        yield process, url


def ended(process: subprocess.Popen[str], how: signal.Signals) -> list[psutil.Process]:
    """End the job; return those of its processes that are still there."""
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(how)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert "Stopped." in output
    assert "retries" not in output
    assert "graceful_shutdown" not in output
    _, alive = psutil.wait_procs(children, timeout=15)
    return list(alive)
