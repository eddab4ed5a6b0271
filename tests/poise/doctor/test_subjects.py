"""Each subject of ``poise doctor`` where one thing is broken: found, named, cured."""

import json
import os
import resource
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from importlib import import_module
from pathlib import Path

import pytest
from tests.support.lake_damage import DAMAGES
from tests.support.mlflow_server import fresh_store
from tests.support.ports import free_port
from tests.support.tiny_lake import write_tiny_lake

from poise.doctor import gpu, packages, ports, ray_cluster
from poise.doctor.clock import clock_finding, skew_s
from poise.doctor.examine import SUBJECTS
from poise.doctor.finding import Finding, late
from poise.doctor.in_force import masked
from poise.runtime.settings import VARIABLES, Settings

Break = Callable[[Path, pytest.MonkeyPatch], dict[str, str]]


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*VARIABLES.values(), "TMPDIR", "RAY_TMPDIR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))


def look(subject: str, **given: str) -> dict[str, Finding]:
    check = import_module(f"poise.doctor.{SUBJECTS[subject]}").check
    return {found.name: found for found in check(Settings.load(**given))}


def no_ray(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"ray_address": "127.0.0.1:9"}


def ray_by_another_door(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"ray_address": "http://127.0.0.1:8265"}


def open_token(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (place / "token").write_text("0" * 64)
    (place / "token").chmod(0o644)
    patch.setenv("RAY_AUTH_TOKEN_PATH", str(place / "token"))
    return {}


def no_mlflow(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"tracking_uri": f"http://127.0.0.1:{free_port()}"}


def no_store(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (place / "home").mkdir()
    (place / "home" / "mlflow.db").write_text("what is this?" * 100)
    return {}


def newer_store(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    uri = fresh_store(place / "home")
    with closing(sqlite3.connect(place / "home" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    return {"tracking_uri": uri}


def alias_without_files(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    uri = fresh_store(place / "home")
    run = "0" * 32
    with closing(sqlite3.connect(place / "home" / "mlflow.db")) as connection, connection:
        connection.execute("INSERT INTO registered_models (name) VALUES ('m')")
        connection.execute(
            "INSERT INTO model_versions (name, version, source, run_id) VALUES ('m', 3, ?, ?)",
            (f"runs:/{run}/model", run),
        )
        connection.execute(
            "INSERT INTO registered_model_aliases (name, alias, version) "
            "VALUES ('m', 'champion', 3)"
        )
    return {"tracking_uri": uri}


def store_without_registry(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    uri = fresh_store(place / "home")
    with closing(sqlite3.connect(place / "home" / "mlflow.db")) as connection, connection:
        connection.execute("DROP TABLE registered_model_aliases")
    return {"tracking_uri": uri}


def broken_lake(damage: str) -> Break:
    def apply(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
        write_tiny_lake(place / "lake")
        DAMAGES[damage][2](place / "lake")
        return {"lake": str(place / "lake")}

    return apply


def cut_part(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    write_tiny_lake(place / "lake")
    next((place / "lake").rglob("*.parquet")).write_bytes(b"PAR1")
    return {"lake": str(place / "lake")}


def pvd_elsewhere(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    write_tiny_lake(place / "lake")
    return {"lake": str(place / "lake")}


def pvd_beside_a_broken_track(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    write_tiny_lake(place / "lake")
    (place / "lake" / "a" / "a-3D").mkdir(parents=True)
    (place / "lake" / "a" / "a-3D" / "manifest.json").write_text("{")
    return {"lake": str(place / "lake")}


def no_milvus(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"milvus_uri": f"http://127.0.0.1:{free_port()}"}


def cpu_build(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setattr(gpu, "_DRIVER", place)
    patch.setattr(gpu, "_built_for", lambda: None)
    return {}


def other_pins(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (place / "lock").write_text("ray==1.0\n")
    patch.setattr(packages, "_LOCK", place / "lock")
    return {}


def no_poses(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"data": str(place)}


def data_on_silent_s3(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    return {"data": "s3://bucket/data"}


def file_for_temporary(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (place / "full").symlink_to("/dev/full")  # nothing can be made below
    return {"home": str(place / "full" / "home")}


def far_proxy(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    return {"tracking_uri": "http://mlflow.lan:5000", "milvus_uri": "http://milvus.lan:19530"}


def misspelt(place: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    patch.setenv("POISE_MILVUS_URL", "http://milvus:19530")
    return {}


@pytest.mark.parametrize(
    ("subject", "broken", "name", "status", "said", "cure"),
    [
        ("ray", no_ray, "ray.answers", "failed", "127.0.0.1:9 does not answer", "ray start"),
        ("ray", ray_by_another_door, "ray.answers", "failed", "RAY_API_SERVER", "unset RAY"),
        ("ray", open_token, "ray.token", "warning", "can be read by other users", "chmod 600"),
        ("mlflow", no_mlflow, "mlflow.answers", "failed", "does not answer", "--tracking-uri"),
        ("mlflow", no_store, "mlflow.answers", "failed", "not a database", "poise sweep"),
        ("mlflow", newer_store, "mlflow.answers", "failed", "newer MLflow", "install the newer"),
        ("registry", alias_without_files, "registry.files", "failed", "m@champion is version 3",
         "poise promote m --list"),
        ("registry", store_without_registry, "registry.files", "failed", "cannot be asked",
         "mlflow"),
        ("lake", broken_lake("missing-part"), "lake.parts", "failed", "not there", "poise ingest"),
        ("lake", cut_part, "lake.parts", "failed", "cut off", "poise check"),
        ("lake", broken_lake("schema-version"), "lake.manifests", "failed",
         "schema version 0, this", "poise check"),
        ("milvus", pvd_elsewhere, "milvus.collections", "failed", "holds no rows", "pvd rebuild"),
        ("milvus", pvd_beside_a_broken_track, "milvus.collections", "failed", "holds no rows",
         "pvd rebuild"),
        ("milvus", no_milvus, "milvus.answers", "failed", "refused", "--milvus-uri"),
        ("gpu", cpu_build, "gpu.torch", "failed", "built for CPUs only", "torch=="),
        ("packages", other_pins, "packages", "warning", "(1.0)", "requirements.lock"),
        ("disk", no_poses, "data", "failed", "no folder poses/", "$POISE_DATA"),
        ("disk", data_on_silent_s3, "data", "failed", "does not answer", "AWS_"),
        ("disk", file_for_temporary, "disk.home", "failed", "cannot be written", "POISE_HOME"),
        ("proxies", far_proxy, "proxies.services", "failed", "milvus.lan, mlflow.lan", "NO_PROXY="),
        ("proxies", far_proxy, "proxies.loopback", "warning", "127.0.0.1 too", "NO_PROXY="),
        ("settings", misspelt, "settings", "warning", "POISE_MILVUS_URL", "$POISE_MILVUS_URI?"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named_with_its_cure(
    subject: str,
    broken: Break,
    name: str,
    status: str,
    said: str,
    cure: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = look(subject, **broken(tmp_path, monkeypatch))[name]
    assert found.status == status
    assert said in found.found
    assert cure in found.cure


def test_a_store_that_is_held_is_not_called_broken(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path / "home")
    with closing(sqlite3.connect(tmp_path / "home" / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = look("mlflow", tracking_uri=uri)
    assert found["mlflow.writable"].status == "failed"
    assert "another process holds it" in found["mlflow.writable"].cure
    found = look("mlflow", tracking_uri=uri)
    assert {one.status for one in found.values()} == {"ok"}


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_of_open_files_is_told() -> None:
    with open_files(soft=280):
        found = look("machine")["machine.open_files"]
    assert found.status == "failed"
    assert "may open 280 files" in found.found
    assert found.cure.startswith("ulimit -n ")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    try:
        found = look("disk", home=str(small / "home"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    for name in ("disk.home", "disk.lake"):
        assert found[name].status == "failed"
        assert "no space left" in found[name].found
    assert found["disk.temporary"].status != "failed"


def test_a_port_of_ours_in_strange_hands_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "_USERS", {port: ("poise serve", ("nobody of that name",))})
        found = look("ports")
        assert found[f"ports.{port}"].status == "warning"
        assert f"process {os.getpid()}" in found[f"ports.{port}"].found
        monkeypatch.setattr(ports, "_USERS", {port: ("tests", ("python",))})
        assert f"tests listens at {port}" in look("ports")["ports"].found


@pytest.mark.parametrize(("load", "cure"), [(0.0, "its address"), (1e6, "less busy")])
def test_who_is_not_heard_of_in_time_has_failed(
    load: float, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    found = late("mlflow", 8.0)
    assert found.status == "failed"
    assert cure in found.cure


@pytest.mark.parametrize(
    ("off", "status"),
    [(0.0, "ok"), (20.0, "warning"), (-20.0, "warning"), (900.0, "failed"), (-900.0, "failed")],
)
def test_clocks_are_compared(off: float, status: str) -> None:
    now = time.time()
    found = clock_finding("clock", {"it": skew_s(formatdate(now + off, usegmt=True), now, now)})
    assert found.status == status
    assert ("ahead" in found.found) == (off > 0)
    assert ("behind" in found.found) == (off < 0)


def test_an_answer_without_a_date_tells_no_time() -> None:
    for date in (None, "", "yesterday"):
        assert skew_s(date, 0.0) is None
    assert clock_finding("clock", {"it": None}).status == "skipped"


@pytest.fixture
def head(cluster: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the Ray of all tests, which may be busy."""
    import ray

    monkeypatch.setattr(ray_cluster, "_PROBE_S", 60.0)
    return str(ray.get_runtime_context().gcs_address)


def test_a_cluster_is_asked_for_its_version_on_every_node(head: str) -> None:
    found = look("ray", ray_address=head)
    assert found["ray.answers"].status == "ok"
    assert "1 node," in found["ray.answers"].found
    assert found["ray.version"].status in ("ok", "warning")  # nodes without metrics tell nothing
    assert found["ray.version"].found.startswith("Ray ")


def test_a_cluster_of_another_version_is_told(head: str) -> None:
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    gcs, key = GcsClient(address=head), (b"CLUSTER_METADATA", b"cluster")
    kept = gcs.internal_kv_get(*key, timeout=10)
    told = json.dumps({**json.loads(kept), "ray_version": "2.9.0"}).encode()
    gcs.internal_kv_put(key[0], told, True, key[1], timeout=10)
    try:
        found = look("ray", ray_address=head)["ray.version"]
    finally:
        gcs.internal_kv_put(key[0], kept, True, key[1], timeout=10)
    assert found.status == "failed"
    assert "Ray 2.9.0" in found.found
    assert "ray==2.9.0" in found.cure


def test_milvus_is_compared_with_the_lake(lite_uri: str, tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    found = look("milvus", lake=str(tmp_path / "lake"), milvus_uri=lite_uri)
    assert found["milvus.answers"].status == "ok"
    assert "no alias pvd_" in found["milvus.collections"].found
    assert "poise pvd rebuild" in found["milvus.collections"].cure


def test_folders_are_looked_at_without_being_made(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert look("disk")["disk.home"].status in ("ok", "warning")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://me:pa:ss@host/x", "http://me:***@host/x"),
        ("https://KEY@host:1/x", "https://***@host:1/x"),
        ("s3://b/x?region=here&secret_key=K3Y&a=b", "s3://b/x?region=here&secret_key=***&a=b"),
        ("https://h/x?X-Amz-Signature=abc is away", "https://h/x?X-Amz-Signature=*** is away"),
        ("http://host:5000/mail@x", "http://host:5000/mail@x"),
    ],
)
def test_no_secret_of_a_uri_is_shown(given: str, shown: str) -> None:
    assert masked(given) == shown
