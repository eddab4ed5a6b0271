"""Start the service on a Ray cluster, wait until it answers, and take it down again."""

import json
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ray
from ray import serve
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

from poise.runtime.errors import in_short
from poise.runtime.loopback import is_loopback
from poise.runtime.ray_cluster.join import connect
from poise.runtime.settings import Settings
from poise.serving.app import build
from poise.serving.errors import ServiceError
from poise.serving.intake.connections import PROXY_ENV
from poise.serving.intake.passing import APPLICATION
from poise.serving.service_args import ServiceArgs

logger = logging.getLogger(__name__)

#: A request that takes longer is given up by Serve with a 408.
REQUEST_TIMEOUT_S = 300.0
START_TIMEOUT_S = 120.0
_SHUTDOWN_S = 30.0
QUIET = {"enable_access_log": False, "log_level": "WARNING"}


@contextmanager
def running_service(args: ServiceArgs, host: str = "127.0.0.1", port: int = 8000) -> Iterator[str]:
    """Serve a model inside the block; everything started here is stopped at its end.

    Args:
        args: what to serve.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.

    Yields:
        The service's URL, once it answers.

    Raises:
        ServiceError: the address lets a network in without a token, the port is taken, Serve
            already runs with other options, or the application does not come up.
        PoiseError: the model cannot be found or loaded.
    """
    _check_open(host, args)
    port = _free_port(host, port)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with connect():
        application = build(args)
        if _serve_is_running():
            raise ServiceError(
                "Ray Serve already runs in this cluster: add Poise to it with "
                "`serve deploy deploy/serve.yaml`, or stop it with `serve shutdown`"
            )
        url = f"http://{_reachable_host(host)}:{port}"
        try:
            _start(host, port)
            _deploy(application)
            _wait_until_healthy(url)
            yield url
        finally:
            if ray.is_initialized():
                _shut_down()


def _check_open(host: str, args: ServiceArgs) -> None:
    """Refuse to let a network in that shows no token."""
    shown = args.token or args.tokens or Settings.load().token
    if shown is not None or is_loopback(host):
        return
    raise ServiceError(
        f"{host} lets the network in: set POISE_TOKEN to what clients must show "
        "(python -c 'import secrets; print(secrets.token_urlsafe())'), or stay on 127.0.0.1"
    )


def _start(host: str, port: int) -> None:
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": host, "port": port, "request_timeout_s": REQUEST_TIMEOUT_S},
            logging_config=QUIET,
            # The proxies, which the controller starts, have its environment.
            controller_options={"runtime_env": {"env_vars": PROXY_ENV}},
        )
    except RayError as error:
        raise ServiceError(
            f"Ray Serve's proxy did not come up ({in_short(error)}): try again where this machine "
            "is less busy, and see logs/serve in Ray's session folder"
        ) from error


def _deploy(application: serve.Application) -> None:
    try:
        serve.run(application, name=APPLICATION, route_prefix="/", logging_config=QUIET)
    except RuntimeError as error:
        status = serve.status().applications.get(APPLICATION)
        reasons = [d.message for d in status.deployments.values()] if status else []
        detail = "\n".join(reason for reason in reasons if reason)
        raise ServiceError(f"the service did not come up: {detail or error}") from error


def _shut_down() -> None:
    """Stop Serve.

    `serve.shutdown` alone asks the controller by a call that is repeated for ever, which Ray says
    aloud when the controller has ended as it was asked to.
    """
    with suppress(ValueError, RayActorError, GetTimeoutError):
        controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
        end = controller.graceful_shutdown.options(max_task_retries=0).remote()
        ray.get(end, timeout=_SHUTDOWN_S)
    serve.shutdown()


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=10) as response:  # noqa: S310
                logger.info("Serving %s at %s", json.load(response)["model"], url)
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"{url}/healthz does not answer: {in_short(error)}") from error
            time.sleep(0.2)


def _free_port(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServiceError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another port"
            ) from error
        chosen: int = probe.getsockname()[1]
        return chosen


def _reachable_host(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104


def _serve_is_running() -> bool:
    return bool(serve.status().proxies)
