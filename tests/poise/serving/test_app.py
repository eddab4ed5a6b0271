"""The service over HTTP: a real Serve with a real checkpoint, lake and Milvus."""

import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import ray
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.support.bad_requests import BAD, FLAT, wrong
from tests.support.door import Door
from tests.support.metrics import BAD_LUCK, asked_for
from tests.support.serving import clip, publish, save_untrained
from tests.support.streams import Talk
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import load_checkpoint
from poise.motion.motion import Motion
from poise.pvd.retriever import Retriever
from poise.serving.running_service import running_service
from poise.serving.schema import MAX_BODY_BYTES
from poise.serving.service_args import ServiceArgs
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Service:
    """One that runs, before a Milvus that is behind a door."""

    url: str
    home: Path
    door: Door


@dataclass(frozen=True)
class Served:
    url: str
    refiner: Refiner
    retriever: Retriever
    door: Door


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Iterator[Service]:
    """The one service of this file. Its tests come in the order in which Milvus comes and goes."""
    home = tmp_path_factory.mktemp("home")
    checkpoint = save_untrained(home / "untrained")
    write_tiny_lake(home / "lake")
    with closing(Door()) as door:
        args = ServiceArgs(model=checkpoint, home=str(home), milvus_uri=door.uri)
        with running_service(args, port=0) as url:
            yield Service(url, home, door)


@pytest.fixture(scope="module")
def served(service: Service, lite_uri: str) -> Served:
    """The service when Milvus is there."""
    publish(service.home / "lake", lite_uri)
    service.door.open(lite_uri)
    deadline = time.monotonic() + 90
    while refine(service.url, {"poses": clip(30).tolist()}).json()["retrieval"] != "used":
        assert time.monotonic() < deadline, "retrieval is not taken back"
        time.sleep(0.5)
    refiner, _ = load_checkpoint(str(service.home / "untrained"))
    retriever = Retriever(str(service.home / "lake"), TRACK, lite_uri)
    return Served(service.url, refiner, retriever, service.door)


def refine(url: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{url}/v1/refine", json=body, timeout=120)


def poses(response: httpx.Response) -> NDArray[np.float64]:
    assert response.status_code == 200, response.text
    return np.asarray(response.json()["poses"])


def offline(served: Served, detected: NDArray[np.float32]) -> tuple[Any, Any]:
    detected_FC = torch.from_numpy(detected)
    clip = Clip(detected_FC).with_neighbours(*served.retriever.find(detected_FC))
    [refined] = served.refiner.refine([clip])
    assert refined.quality_F is not None
    return refined.poses_FC.numpy(), refined.quality_F.numpy()


def test_milvus_down_at_the_start_is_marked(service: Service) -> None:
    start = time.perf_counter()
    answer = refine(service.url, {"poses": clip(30).tolist()}).json()
    assert time.perf_counter() - start < 5
    assert (answer["retrieval"], answer["distances"]) == ("unavailable", None)
    assert httpx.get(f"{service.url}/healthz").json()["retrieval"] == "unavailable"


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 100])
def test_served_equals_offline(served: Served, frames: int) -> None:
    detected_FC = clip(frames, seed=frames)
    response = refine(served.url, {"poses": detected_FC.tolist(), "name": "take 1", "fps": 30})
    expected_FC, quality_F = offline(served, detected_FC)
    np.testing.assert_allclose(poses(response), expected_FC, atol=1e-5)
    answer = response.json()
    np.testing.assert_allclose(answer["quality"], quality_F, atol=1e-5)
    assert answer["retrieval"] == "used"
    assert answer["distances"]["min"] <= answer["distances"]["median"] <= answer["distances"]["max"]
    assert answer["model"] == {"name": "untrained", "version": None, "track": str(TRACK)}
    assert (answer["frames"], answer["name"], answer["fps"]) == (frames, "take 1", 30)
    assert answer["warnings"] == []


def test_what_was_retrieved_comes_with_the_answer_where_it_is_asked_for(served: Served) -> None:
    detected_FC = clip(8)
    near_NKTC, _ = served.retriever.find(torch.from_numpy(detected_FC))
    for poses, shape in ((detected_FC, (8, 51)), (detected_FC.reshape(8, 17, 3), (8, 17, 3))):
        answer = refine(served.url, {"poses": poses.tolist(), "neighbours": True}).json()
        assert np.asarray(answer["neighbours"]).shape == shape
        found = np.asarray(answer["neighbours"]).reshape(8, 51)
        np.testing.assert_allclose(found, near_NKTC[0, 0].numpy(), atol=1e-5)
    assert refine(served.url, {"poses": detected_FC.tolist()}).json()["neighbours"] is None


def test_the_page_draws_what_was_retrieved(served: Served, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = pytest.importorskip("playwright.sync_api")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    poses = clip(30).reshape(30, 1, 17, 3)
    Motion(poses_FPJD=poses, joints=TRACK.info.joint_names, fps=30.0, unit="m").write(
        tmp_path / "clip.trc"
    )
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        page = driver.chromium.launch(executable_path=chromium, args=flags).new_page()
        page.set_default_timeout(60_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(served.url)
        page.get_by_label("Refiner").select_option("median")
        page.set_input_files("#file", tmp_path / "clip.trc")
        page.locator("#status", has_text="refined by").wait_for()
        for other in ("Input", "Refined"):
            page.get_by_label(other, exact=True).uncheck()
        with page.expect_response(lambda answer: answer.url.endswith("/v1/refine")):
            page.get_by_label("Neighbour").check()

        def green() -> int:
            content = page.locator("#scene").screenshot()
            picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)
            return int((picture[..., 1] - picture[..., 0] > 60).sum())

        deadline = time.monotonic() + 60
        while green() < 200:
            assert time.monotonic() < deadline, "no neighbour is drawn"
        assert wrong == []


def test_nested_poses_come_back_nested(served: Served) -> None:
    detected_FC = clip(12)
    nested = refine(served.url, {"poses": detected_FC.reshape(12, 17, 3).tolist()})
    flat = refine(served.url, {"poses": detected_FC.tolist()})
    np.testing.assert_allclose(poses(nested), poses(flat).reshape(12, 17, 3), atol=1e-5)


def test_concurrent_requests_do_not_change_each_other(served: Served) -> None:
    clips = [clip(frames, seed=frames) for frames in (3, 8, 20, 45, 80, 5, 31, 64, 12, 27)]
    alone = [poses(refine(served.url, {"poses": one.tolist()})) for one in clips]
    bodies: list[Any] = [{"poses": one.tolist()} for one in clips]
    bad = {"poses": np.zeros((10, 50)).tolist()}
    with ThreadPoolExecutor(16) as pool:
        mixed = list(pool.map(lambda body: refine(served.url, body), [*bodies, bad, bad]))
    for response, expected in zip(mixed[: len(clips)], alone, strict=True):
        np.testing.assert_allclose(poses(response), expected, atol=1e-5)
    assert [response.status_code for response in mixed[len(clips) :]] == [422, 422]


def test_a_body_that_stands_still_at_one_point_gives_finite_poses(served: Served) -> None:
    response = refine(served.url, {"poses": np.full((20, 51), 0.3).tolist()})
    assert np.isfinite(poses(response)).all()


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_and_the_field_is_named(served: Served, case: str) -> None:
    body, status, field = BAD[case]
    headers = {"Content-Type": "application/json"}
    start = time.perf_counter()
    response = httpx.post(f"{served.url}/v1/refine", content=body, headers=headers)
    assert time.perf_counter() - start < 2
    assert response.status_code == status, response.text
    assert [problem["field"] for problem in response.json()["detail"]] == [field]


@pytest.mark.parametrize("change", [None, float("nan")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_joint_that_was_not_seen_is_filled(served: Served, change: Any, encoding: str) -> None:
    headers = {"Content-Type": "application/json"}
    body = wrong(change).encode(encoding)
    response = httpx.post(f"{served.url}/v1/refine", content=body, headers=headers)
    assert np.isfinite(poses(response)).all()
    answer = response.json()
    [filled] = answer["filled"]
    assert (filled["joint"], filled["frames"]) == (5, [3])
    assert "not seen, filled along time" in answer["warnings"][0]


def test_quality_is_lower_where_joints_were_filled(served: Served) -> None:
    blank: Any = clip(8).tolist()
    blank[2], blank[5] = None, [0.0] * 51
    answer = refine(served.url, {"poses": blank}).json()
    assert [answer["quality"][2], answer["quality"][5]] == [0, 0]
    assert min(answer["quality"][frame] for frame in (0, 1, 3, 4)) > 0.3


def test_a_body_of_a_third_of_a_person_is_refined_with_a_warning(served: Served) -> None:
    moving = clip(30)
    assert refine(served.url, {"poses": moving.tolist()}).json()["warnings"] == []
    [warning] = refine(served.url, {"poses": (moving / 3).tolist()}).json()["warnings"]
    assert "people 0.9 m: likely" in warning


def test_what_is_not_json_is_a_4xx(served: Served) -> None:
    url, headers = f"{served.url}/v1/refine", {"Content-Type": "application/json"}
    for content, status in ((b"\x1f\x8b\xff", 400), (b'{"poses": ' + b"[" * 100_000, 422)):
        assert httpx.post(url, content=content, headers=headers).status_code == status
    response = httpx.post(url, content=json.dumps({"poses": FLAT}))
    assert response.status_code == 422
    assert "Content-Type" in response.json()["detail"][0]["msg"]


def test_another_model_is_404(served: Served) -> None:
    response = refine(served.url, {"poses": FLAT, "model": "poise-h36m-fcn-3D"})
    assert response.status_code == 404
    assert "untrained" in response.json()["detail"]


def test_a_model_may_be_named_in_the_query(served: Served) -> None:
    url = f"{served.url}/v1/refine?track=jhmdb/simplepose/2D"
    joints = clip(9)[:, :30].reshape(9, 15, 2).tolist()
    answer = httpx.post(url, json={"poses": joints, "moved": True}, timeout=60).json()
    assert answer["model"] == {
        "name": "poise:general",
        "version": None,
        "track": "jhmdb/simplepose/2D",
    }
    assert np.asarray(answer["moved"], float).max() == answer["correction"]["max"] > 0
    stages = answer["timing"]
    assert stages["network"] > 0
    assert answer["seconds"] == pytest.approx(sum(stages.values()) - stages["format"], abs=1e-3)
    named = [one["name"] for one in httpx.get(f"{served.url}/v1/models").json()["models"]]
    assert named[:2] == ["untrained", "poise:general"]
    wrong = httpx.post(url + "&model=untrained", json={"poses": joints}, timeout=60)
    assert (wrong.status_code, wrong.json()["detail"][0]["field"]) == (422, "track")


def test_large_bodies_are_413_announced_or_not(served: Served) -> None:
    url, chunk = f"{served.url}/v1/refine", b" " * 2**20
    announced = httpx.post(url, content=b" " * (MAX_BODY_BYTES + 1), timeout=60)
    streamed = httpx.post(
        url, content=(chunk for _ in range(MAX_BODY_BYTES // len(chunk) + 1)), timeout=60
    )
    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert "split" in announced.json()["detail"]


def test_the_documented_example_works_as_it_is(served: Served) -> None:
    description = httpx.get(f"{served.url}/openapi.json").json()
    content = description["paths"]["/v1/refine"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    assert example == httpx.get(f"{served.url}/v1/example").json()
    response = refine(served.url, example)
    assert poses(response).shape == np.asarray(example["poses"]).shape
    docs = httpx.get(f"{served.url}/docs")
    assert "script-src 'self'" in docs.headers["content-security-policy"]
    assert "http" not in docs.text, "everything comes from here"
    for asset in re.findall(r'(?:src|href)="([^"]+)"', docs.text):
        assert httpx.get(f"{served.url}/{asset}").status_code == 200, asset


def test_the_service_says_what_it_serves(served: Served) -> None:
    model, *_ = httpx.get(f"{served.url}/v1/models").json()["models"]
    assert (model["name"], model["track"], model["refiner"]) == ("untrained", str(TRACK), "synspp")
    assert (model["joints"], model["dims"], model["unit"]) == (17, 3, "m")
    assert httpx.get(f"{served.url}/healthz").json() == {
        "status": "ok",
        "model": "untrained",
        "retrieval": "ready",
    }


def test_another_frame_rate_is_warned_about(served: Served) -> None:
    answer = refine(served.url, {"poses": FLAT, "fps": 60}).json()
    assert answer["warnings"] == ["60 fps: the model was trained at 30 fps"]


def test_a_stream_is_the_offline_result_beside_a_long_request(served: Served) -> None:
    detected_FC = clip(60, seed=9)
    expected_FC, _ = offline(served, detected_FC)
    body = {"poses": np.tile(clip(100), (10, 1)).tolist()}
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(refine, served.url, body)
        with Talk(served.url.replace("http", "ws", 1) + "/v1/stream", lag=7) as talk:
            assert talk.opened["retrieval"] == "ready"
            talk.send(detected_FC)
            stream_FC = np.array(talk.rest()[0])
        assert poses(long.result()).shape == (1000, 51)
    np.testing.assert_allclose(stream_FC, expected_FC, atol=1e-5)


def test_prometheus_finds_every_metric_of_the_dashboard(served: Served) -> None:
    assert refine(served.url, {"poses": []}).status_code == 422
    with Talk(served.url.replace("http", "ws", 1) + "/v1/stream", lag=7) as talk:
        talk.send(clip(20))
        talk.rest()
    [node] = ray.nodes()
    exported = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    missing, deadline = asked_for() - BAD_LUCK, time.monotonic() + 90
    while missing:
        assert time.monotonic() < deadline, f"not exported: {missing}"
        time.sleep(1)  # Ray reports every few seconds
        missing -= set(re.findall(r"^\w+", httpx.get(exported).text, re.MULTILINE))


def test_health_answers_while_a_long_sequence_is_refined(served: Served) -> None:
    body = {"poses": np.tile(clip(100), (50, 1)).tolist()}
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(refine, served.url, body)
        waits = []
        while not long.done():
            start = time.perf_counter()
            assert httpx.get(f"{served.url}/healthz", timeout=30).status_code == 200
            waits.append(time.perf_counter() - start)
        answer = long.result().json()
    assert answer["frames"] == 5000
    assert np.median(waits) < answer["seconds"] / 2


def test_retrieval_outlives_milvus(served: Served) -> None:
    detected_FC = clip(30, seed=5)
    before = poses(refine(served.url, {"poses": detected_FC.tolist()}))
    served.door.shut()
    start = time.perf_counter()
    after = refine(served.url, {"poses": detected_FC.tolist()})
    assert time.perf_counter() - start < 10
    assert after.json()["retrieval"] == "used"
    np.testing.assert_allclose(poses(after), before, atol=1e-5)


@pytest.mark.chaos
def test_a_killed_replica_costs_at_most_its_requests_in_flight(service: Service) -> None:
    clients, each = 4, 12
    [replica] = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(part.startswith("ray::ServeReplica") for part in process.cmdline())
    ]
    body = {"poses": clip(60).tolist()}
    with ThreadPoolExecutor(clients) as pool:
        runs = [
            pool.submit(lambda: [refine(service.url, body).status_code for _ in range(each)])
            for _ in range(clients)
        ]
        time.sleep(0.5)
        replica.kill()
        codes = [code for run in runs for code in run.result(timeout=200)]
    assert len(codes) == clients * each
    assert len([code for code in codes if code != 200]) <= clients
