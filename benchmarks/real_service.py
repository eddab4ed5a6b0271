"""The whole service as on a cluster: Ray with its dashboard, MLflow, Milvus, `serve deploy`."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from tests.support.mlflow_server import MlflowServer, fresh_store
from tests.support.ports import free_port
from tests.support.running_milvus import RunningMilvus
from tests.support.serving import publish, register_untrained
from tests.support.tiny_lake import write_tiny_lake

from poise.serving.intake.passing import APPLICATION, DEPLOYMENT

REPOSITORY = Path(__file__).resolve().parents[1]
#: What is served: two versions of it are in the registry.
MODEL = "poise-a"
#: Nothing that is waited for takes so long.
LONG_S = 180.0


class RealService:
    """A head node of Ray and what is deployed on it, beside a registry and a PVD that can die.

    Args:
        folder: where all of it keeps its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._ray: subprocess.Popen[bytes]
        self._dashboard = f"http://127.0.0.1:{free_port()}"
        token = secrets.token_hex(32)
        self._http = httpx.Client(headers={"Authorization": f"Bearer {token}"})
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> "RealService":
        with ExitStack() as stack:
            write_tiny_lake(self._folder / "lake")
            store = fresh_store(self._folder)
            for _ in range(2):
                register_untrained(store, self._folder, MODEL)
            self.mlflow = stack.enter_context(MlflowServer(self._folder))
            self.milvus = RunningMilvus("lite", self._folder / "pvd")
            stack.callback(self.milvus.stop)
            publish(self._folder / "lake", self.milvus.uri)
            stack.enter_context(self._cluster())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
            "--port", str(free_port()), "--num-cpus", "4", "--disable-usage-stats",
            "--dashboard-host", "127.0.0.1", "--dashboard-port", self._dashboard.split(":")[-1],
            "--temp-dir", str(self._folder / "ray"), "--object-store-memory", "300000000",
        ]  # fmt: skip
        with (self._folder / "ray.log").open("wb") as log:
            self._ray = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        try:
            self.wait(lambda: self._details() is not None)
            yield
        finally:
            running = self.processes("")
            self._ray.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._ray.wait(30)
            for process in running:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def deploy(self, **args: Any) -> None:
        """Write the config file with these arguments of the application, and deploy it."""
        config = yaml.safe_load((REPOSITORY / "deploy" / "serve.yaml").read_text())
        config["http_options"]["port"] = int(self.url.rsplit(":", 1)[1])
        [application] = config["applications"]
        application["args"] = {
            "model": f"{MODEL}@champion",
            "home": str(self._folder),
            "lake": str(self._folder / "lake"),
            "milvus_uri": self.milvus.uri,
            "tracking_uri": self.mlflow.uri,
            **args,
        }
        path = self._folder / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        serve = str(Path(sys.executable).with_name("serve"))
        command = [serve, "deploy", str(path), "-a", self._dashboard]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment)
        if done.returncode:
            raise RuntimeError(f"serve deploy fails: {done.stdout}{done.stderr}")

    def ready(self, count: int) -> None:
        """Wait until so many replicas answer."""
        self.wait(lambda: self.settled(count))
        self.wait(lambda: count == 0 or bool(self.health()))

    def wait(self, done: Callable[[], bool]) -> float:
        """Wait until something is so; return for how many seconds."""
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > LONG_S:
                raise TimeoutError(f"{done} is not so after {LONG_S:.0f} s")
            time.sleep(0.2)
        return time.monotonic() - began

    def replicas(self) -> set[int]:
        """Process ids of the replicas that answer, those alone."""
        details = self._details() or {}
        application = details.get("applications", {}).get(APPLICATION, {})
        found = application.get("deployments", {}).get(DEPLOYMENT, {}).get("replicas", [])
        return {one["pid"] for one in found if one["state"] == "RUNNING"}

    def settled(self, count: int, gone: set[int] = frozenset()) -> bool:  # type: ignore[assignment]
        """Say whether so many replicas answer, none of which is one of those."""
        details = self._details() or {}
        status = details.get("applications", {}).get(APPLICATION, {}).get("status")
        there = self.replicas()
        return status == "RUNNING" and len(there) == count and not there & gone

    def processes(self, name: str) -> list[psutil.Process]:
        """Processes of the cluster whose title begins so."""
        found = []
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._ray.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if " ".join(process.cmdline()).startswith(name):
                        found.append(process)
        return found

    def kill(self, name: str) -> int:
        """Kill the first process whose title begins so; return its id."""
        process = self.processes(name)[0]
        process.kill()
        return process.pid

    def health(self) -> dict[str, Any]:
        """What the service says of itself; empty where it does not answer."""
        with suppress(httpx.TransportError, ValueError):
            found: dict[str, Any] = self._http.get(f"{self.url}/healthz").json()
            return found
        return {}

    def _details(self) -> dict[str, Any] | None:
        with suppress(httpx.TransportError):
            answer = self._http.get(f"{self._dashboard}/api/serve/applications/")
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        return None
