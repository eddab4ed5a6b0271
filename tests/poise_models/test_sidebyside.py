"""Chunks on threads of their own give what chunks one after another give."""

import threading
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.poise_models.small import NETWORKS, SPECS, found, network, sequence
from torch import Tensor

from poise_models.sidebyside import Columns, in_chunks

THREADS = 3


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def plus(chunk: Columns) -> Tensor:
    return chunk[0] + chunk[1]


@given(rows=st.integers(1, 200), most=st.integers(1, 20), threads=st.sampled_from([1, THREADS]))
def test_chunks_are_all_rows_in_order(rows: int, most: int, threads: int) -> None:
    columns = torch.arange(rows), 1000 * torch.arange(rows)
    parts = in_chunks(plus, columns, most, threads)
    assert torch.equal(torch.cat(parts), 1001 * torch.arange(rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= most
    if threads > 1 and rows > most * threads:
        # Equal shares: nobody has a whole chunk to do while the others have nothing.
        assert len(parts) <= threads * -(-rows // (most * threads))
        assert max(sizes[:-1]) == min(sizes[:-1])
    assert torch.get_num_threads() == THREADS


def test_every_thread_has_its_own_products() -> None:
    everyone = threading.Barrier(THREADS, timeout=20)

    def call(chunk: Columns) -> tuple[str, int, bool]:
        everyone.wait()  # for as many calls at the same time as there are threads
        threads, learns = torch.get_num_threads(), torch.is_grad_enabled()
        return threading.current_thread().name, threads, learns

    said = in_chunks(call, (torch.zeros(6),), 1, THREADS)
    assert {(threads, learns) for _, threads, learns in said} == {(1, False)}
    assert len({name for name, _, _ in said}) == THREADS


def test_an_error_comes_out_and_threads_come_back() -> None:
    def call(chunk: Columns) -> Tensor:
        if 5 in chunk[0]:
            raise ValueError("five")
        return chunk[0]

    with pytest.raises(ValueError, match="five"):
        in_chunks(call, (torch.arange(30),), 2, THREADS)
    assert torch.get_num_threads() == THREADS
    assert len(in_chunks(plus, (torch.arange(30), torch.arange(30)), 2, THREADS)) == 15


def test_a_second_caller_goes_chunk_by_chunk() -> None:
    here = []

    def inner(chunk: Columns) -> Tensor:
        here.append(threading.current_thread().name)
        return chunk[0]

    def outer(chunk: Columns) -> int:
        return len(in_chunks(inner, (torch.arange(12),), 2, THREADS))

    assert in_chunks(outer, (torch.arange(4),), 1, THREADS) == [6, 6, 6, 6]
    assert all(name.startswith("windows") for name in here)
    assert len(set(here)) <= THREADS


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refiner = network(name, SPECS["3D"])
    monkeypatch.setattr(type(refiner), "chunk", 8)
    clip = found(refiner, sequence(300, refiner.spec))
    (apart,) = refiner.refine([clip])
    torch.set_num_threads(1)
    (one,) = refiner.refine([clip])
    torch.testing.assert_close(apart.poses_FC, one.poses_FC, atol=1e-5, rtol=1e-5)
    if one.quality_F is not None:
        torch.testing.assert_close(apart.quality_F, one.quality_F, atol=1e-5, rtol=1e-5)
