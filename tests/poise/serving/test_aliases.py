"""A champion that moves to another version, and back, under the requests of a running service."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.serving import clip, register_untrained

from poise.checkpoints.mlflow_client import mlflow_client
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

pytestmark = pytest.mark.slow

#: Nothing that is waited for takes so long.
LONG_S = 120.0


def test_a_champion_moves_and_back_under_load(tmp_path: Path, cluster: None) -> None:
    uri = fresh_store(tmp_path)
    for _ in range(2):
        register_untrained(uri, tmp_path, "poise-a")
    client = mlflow_client(uri)
    seen: list[tuple[int, str]] = []
    over = threading.Event()

    def asks(url: str, query: dict[str, str]) -> None:
        body = {"poses": clip(40).tolist()}
        while not over.is_set():
            answer = httpx.post(f"{url}/v1/refine", params=query, json=body, timeout=LONG_S)
            said: dict[str, Any] = answer.json()
            seen.append((answer.status_code, said.get("model", {}).get("version")))

    def wait_for(version: str, past: int) -> None:
        end = time.monotonic() + LONG_S
        while (200, version) not in seen[past:]:
            assert time.monotonic() < end
            time.sleep(0.1)

    args = ServiceArgs(home=str(tmp_path), tracking_uri=uri)
    with running_service(args, port=0) as url, ThreadPoolExecutor(3) as pool:
        named: list[dict[str, str]] = [{}, {}, {"model": "poise-a@champion"}]
        loads = [pool.submit(asks, url, query) for query in named]
        try:
            wait_for("2", 0)
            for version in ("1", "2"):
                client.set_registered_model_alias("poise-a", "champion", version)
                wait_for(version, len(seen))
        finally:
            over.set()
        for load in loads:
            load.result()
        missing = httpx.post(f"{url}/v1/refine?model=poise-b", json={"poses": clip(3).tolist()})
    assert {status for status, _ in seen} == {200}
    versions = [version for _, version in seen]
    assert [versions[0], versions[-1]] == ["2", "2"]
    assert "1" in versions
    assert missing.status_code == 404
    assert "poise-a@champion (version 2)" in missing.json()["detail"]
