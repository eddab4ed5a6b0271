"""Chunks on threads of their own give what chunks one after another give."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poise_models.base.batch import Columns
from poise_models.fast.side_by_side import in_chunks

THREADS = 3


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def plus(chunk: Columns) -> Tensor:
    return chunk[0] + chunk[1]


@given(rows=st.integers(1, 200), most=st.integers(1, 20), apart=st.booleans())
@settings(max_examples=40, deadline=None)
def test_chunks_are_all_rows_in_order(rows: int, most: int, apart: bool) -> None:
    columns = torch.arange(rows), 1000 * torch.arange(rows)
    parts = in_chunks(plus, columns, most, apart)
    assert torch.equal(torch.cat(parts), 1001 * torch.arange(rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= most
    if apart and rows > most * THREADS:
        # Equal shares: nobody has a whole chunk to do while the others have nothing.
        assert len(parts) <= THREADS * -(-rows // (most * THREADS))
        assert max(sizes[:-1]) == min(sizes[:-1])
    assert torch.get_num_threads() == THREADS


def test_every_thread_has_its_own_products() -> None:
    everyone = threading.Barrier(THREADS, timeout=20)

    def call(chunk: Columns) -> tuple[str, int, bool]:
        everyone.wait()  # for as many calls at the same time as there are threads
        threads, learns = torch.get_num_threads(), torch.is_grad_enabled()
        return threading.current_thread().name, threads, learns

    said = in_chunks(call, (torch.zeros(6),), 1, apart=True)
    assert {(threads, learns) for _, threads, learns in said} == {(1, False)}
    assert len({name for name, _, _ in said}) == THREADS


def test_an_error_comes_out_and_threads_come_back() -> None:
    def call(chunk: Columns) -> Tensor:
        if 5 in chunk[0]:
            raise ValueError("five")
        return chunk[0]

    with pytest.raises(ValueError, match="five"):
        in_chunks(call, (torch.arange(30),), 2, apart=True)
    assert torch.get_num_threads() == THREADS
    assert len(in_chunks(plus, (torch.arange(30), torch.arange(30)), 2, apart=True)) == 15


def test_a_second_caller_goes_chunk_by_chunk() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="second") as second:
        assert second.submit(torch.get_num_threads).result() == THREADS

        def name(chunk: Columns) -> str:
            return threading.current_thread().name

        def first(chunk: Columns) -> list[str]:
            return second.submit(in_chunks, name, (torch.arange(12),), 2, apart=True).result()

        said = in_chunks(first, (torch.arange(4),), 1, apart=True)
        assert said == [["second_0"] * 6] * 4
        alone = second.submit(in_chunks, name, (torch.arange(12),), 2, apart=True).result()
        assert all(one.startswith("windows") for one in alone)
