"""The Ray cluster a job runs on: the one that is there, else a small local one of its own."""

import gc
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
import ray.data
from ray._private.ray_constants import RAY_WORKER_NICENESS
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from poise.runtime.loopback import bypass_proxies
from poise.runtime.ray_cluster.checks import answering_address, no_cluster
from poise.runtime.ray_cluster.own import keep_token, listens_on_loopback, on_loopback, own_cluster
from poise.runtime.settings import Settings
from poise.runtime.telemetry import OFF, turn_off_telemetry

log = logging.getLogger(__name__)

_ROOTS = ("platform", "models", "retrieval")
#: Ray gives its processes 30 seconds to come up, which a busy machine may not manage at first.
_STARTS = 3
_START_TIMEOUT = "timed out during startup"


@contextmanager
def connect(cpus: int | None = None) -> Iterator[None]:
    """Be connected to Ray inside the block; stop afterwards only what was started here.

    Uses a connection this process already has, else the cluster of ``$RAY_ADDRESS`` (which is set
    inside ``ray job submit``), else starts a cluster on this machine alone, which listens on
    loopback only and has no dashboard.

    Args:
        cpus: size of a cluster started here; all of this machine's by default.

    Raises:
        ClusterError: the cluster of ``$RAY_ADDRESS`` does not answer, or none can be started
            here; within 30 seconds.
    """
    bypass_proxies()
    turn_off_telemetry()
    # gRPC and fork do not mix: neither the driver nor a worker may run its fork handlers.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if ray.is_initialized():
        yield
        return
    settings = Settings.current()
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": _worker_env(settings)},
        "logging_level": logging.WARNING,
        "log_to_driver": True,
    }
    if settings.ray_address in (None, "local"):
        on_this_machine = True
        options |= own_cluster(cpus or available_cpus())
        keep_token()
    else:
        options["address"] = answering_address(settings.ray_address)
        on_this_machine = listens_on_loopback(options["address"])
    # Tells at every start that a cluster of our own wants a token, which its own processes have.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    try:
        with on_loopback() if on_this_machine else nullcontext():
            start(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if settings.ray_address is None:
            raise
        raise no_cluster(settings.ray_address, str(error)) from error
    # Jobs tell their own progress.
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    try:
        log.info("Ray has %s", resources())
        yield
    finally:
        _shut_down()


def start(**options: Any) -> None:
    """Call ``ray.init``; try again where the processes it starts do not come up in time."""
    for left in reversed(range(_STARTS)):
        before = set(psutil.Process().children(recursive=True))
        try:
            ray.init(**options)
            return
        except Exception as error:
            _kill(set(psutil.Process().children(recursive=True)) - before)
            if _START_TIMEOUT not in str(error) or not left:
                raise
            log.warning("Ray did not come up in time; starting it again, %d tries left", left)


def _shut_down() -> None:
    """Call ``ray.shutdown`` with the garbage collector at rest.

    An object reference that is freed while Ray's core is going ends the process on the spot, with
    exit code 1. References lie in rings, and any thread that allocates may free those.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collecting:
            gc.enable()


def _kill(processes: set[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resources() -> str:
    """Say in words what the cluster has, for example ``4 CPUs, 1 GPU``."""
    found = ray.cluster_resources()
    cpus, gpus = int(found.get("CPU", 0)), int(found.get("GPU", 0))
    text = f"{cpus} CPU{'' if cpus == 1 else 's'}"
    return text if not gpus else f"{text}, {gpus} GPU{'' if gpus == 1 else 's'}"


def _worker_env(settings: Settings) -> dict[str, str]:
    told = {name: os.environ[name] for name in OFF}
    env = {"GRPC_ENABLE_FORK_SUPPORT": "0", **_priority(), **told, **settings.worker_env()}
    roots = _source_roots()
    if roots:
        env["PYTHONPATH"] = os.pathsep.join(roots)
    # Workers have those of the job anyway, and Ray takes one that comes twice for a conflict.
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}"))
    given = (job.get("runtime_env") or {}).get("env_vars", {})
    return {name: value for name, value in env.items() if name not in given}


def _priority() -> dict[str, str]:
    """Let workers run at this process's priority, unless Ray's own variable asks for another.

    Ray would have them at 15, and whatever else a machine does then starves a training.
    """
    return {RAY_WORKER_NICENESS: os.environ.get(RAY_WORKER_NICENESS) or "0"}


def _source_roots() -> list[str]:
    """Give workers the source roots where Poise runs from a checkout and is not installed."""
    here = Path(__file__).resolve().parents[3]
    if here.name != _ROOTS[0] or "site-packages" in here.parts:
        return []
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if "runtime_resources" in here.parts:
        # A job's working_dir lies elsewhere on every node, but is always the worker's cwd. If the
        # job's own runtime env names the roots, a second value would be a conflict.
        return [] if any(Path(entry).name == _ROOTS[0] for entry in given) else list(_ROOTS)
    roots = [str(here.parent / root) for root in _ROOTS]
    return roots + [entry for entry in map(os.path.abspath, given) if entry not in roots]
