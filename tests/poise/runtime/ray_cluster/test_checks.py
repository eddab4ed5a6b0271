"""An address that does not answer, and a folder that will not do, are told before Ray starts."""

import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from poise.runtime.errors import ClusterError
from poise.runtime.ray_cluster.checks import answering_address, ray_folder
from poise.runtime.ray_cluster.join import connect


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Somebody listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def no_cluster_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", "does not answer"),
        ("ray://127.0.0.1:9", "does not answer"),
        ("nosuchhost.invalid:6379", "does not answer"),
        ("127.0.0.1", "is no address"),
        ("127.0.0.1:99999", "is no address"),
        ("redis://127.0.0.1:9", "is no address"),
        ("we ird\x1b", "is no address"),
        ("", "is no address"),
        ("http://127.0.0.1:8265", "RAY_API_SERVER_ADDRESS"),
        ("auto", "`ray start` left no cluster here"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line_that_names_it(address: str, said: str) -> None:
    begin = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        answering_address(address)
    assert time.monotonic() - begin < 30
    message = str(caught.value)
    assert message.startswith("RAY_ADDRESS=")
    assert said in message
    assert "or unset RAY_ADDRESS" in message
    assert message.isprintable()


@pytest.mark.slow
def test_who_listens_but_is_no_ray_is_told_in_time() -> None:
    begin = time.monotonic()
    with silent_port() as port, pytest.raises(ClusterError, match="does not answer"):
        answering_address(f"127.0.0.1:{port}")
    assert time.monotonic() - begin < 30


def test_the_file_of_a_cluster_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS=auto stands for 127\.0\.0\.1:9, which"):
        answering_address("auto")


def test_connect_looks_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # other tests may share a cluster
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS=127\.0\.0\.1:9"), connect():
        pass


def test_a_long_folder_for_temporary_files_is_replaced_aloud(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("ü" * 60)))
    caplog.set_level(logging.WARNING)
    assert ray_folder() == ray_folder() == Path("/tmp/ray")  # noqa: S108
    assert len(caplog.messages) == 1
    assert "bytes too long for Ray's sockets" in caplog.text
    assert "RAY_TMPDIR" in caplog.text


def test_a_short_one_is_taken_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108
    assert ray_folder() is None
    assert not caplog.messages


@pytest.mark.parametrize(
    ("folder", "said"), [("x" * 120, "too long"), ("../../../../proc/1/x", "cannot keep")]
)
def test_a_folder_for_ray_that_will_not_do_is_an_error_that_names_it(
    folder: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{folder}")  # noqa: S108
    with pytest.raises(ClusterError, match=said) as caught:
        ray_folder()
    assert "RAY_TMPDIR" in str(caught.value)
