"""Alignment of 1416 neighbours in closed form, against SVDs batched and one by one.

python -m benchmarks.alignment

Every neighbour is a window of 8 frames x 17 joints with a target of its own. The batched SVD comes
twice: with all around it batched too, and with a Python loop over samples for the trace and the
sign, as the official code has it.
"""

import os
import time
from functools import partial

import torch
from benchmarks.timing import compare
from torch import Tensor

from poise_models.fast.memory import keep_freed_memory
from poise_retrieval.geometry.align import align

NEIGHBOURS, POINTS = 1416, 8 * 17


def by_svd(source_BPD: Tensor, target_BPD: Tensor) -> Tensor:
    """Umeyama's similarity by a batched SVD."""
    to_B1D, centred_BPD, covariance_BDD = _moments(source_BPD, target_BPD)
    left_BDD, singular_BD, right_BDD = torch.linalg.svd(covariance_BDD)
    signs_BD = torch.ones_like(singular_BD)
    signs_BD[:, -1] = torch.linalg.det(left_BDD @ right_BDD).sign()
    turn_BDD = (left_BDD * signs_BD[:, None]) @ right_BDD
    scale_B = (singular_BD * signs_BD).sum(-1) / centred_BPD.square().sum((1, 2))
    moved: Tensor = scale_B[:, None, None] * (centred_BPD @ turn_BDD.mT)
    return moved + to_B1D


def by_svd_and_loop(source_BPD: Tensor, target_BPD: Tensor) -> Tensor:
    """The same, with scale and sign worked out sample by sample."""
    to_B1D, centred_BPD, covariance_BDD = _moments(source_BPD, target_BPD)
    left_BDD, _, right_BDD = torch.linalg.svd(covariance_BDD)
    sign_BDD = torch.eye(3).repeat(len(source_BPD), 1, 1)
    sign_BDD[:, -1, -1] = torch.linalg.det(left_BDD @ right_BDD).sign()
    turn_BDD = left_BDD @ sign_BDD @ right_BDD
    spread_B = centred_BPD.square().sum((1, 2))
    pairs = zip(turn_BDD, covariance_BDD, strict=True)
    trace_B = torch.stack([torch.trace(turn_DD.T @ c_DD) for turn_DD, c_DD in pairs])
    moved: Tensor = (trace_B / spread_B)[:, None, None] * (centred_BPD @ turn_BDD.mT)
    return moved + to_B1D


def _moments(source_BPD: Tensor, target_BPD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    to_B1D = target_BPD.mean(1, keepdim=True)
    centred_BPD = source_BPD - source_BPD.mean(1, keepdim=True)
    return to_B1D, centred_BPD, (target_BPD - to_B1D).mT @ centred_BPD


def main() -> None:
    """Print one line per competitor."""
    keep_freed_memory()  # as processes have it that train, score or serve
    torch.set_num_threads(1)
    torch.manual_seed(0)
    source_BPD = torch.randn(NEIGHBOURS, POINTS, 3)
    target_BPD = source_BPD @ torch.linalg.qr(torch.randn(NEIGHBOURS, 3, 3)).Q
    target_BPD = 1.1 * target_BPD + 0.05 * torch.randn_like(target_BPD) + 1.0
    print(
        f"alignment of {NEIGHBOURS} neighbours x {POINTS} points, CPU time of 1 thread, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    for name, other in (("batched SVD", by_svd), ("with a loop", by_svd_and_loop)):
        gap = float((align(source_BPD, target_BPD) - other(source_BPD, target_BPD)).abs().max())
        found = compare(
            partial(align, source_BPD, target_BPD),
            partial(other, source_BPD, target_BPD),
            turns=25,
            clock=time.thread_time,
        )
        print(
            f"  {1e3 * found.ours:6.2f} ms, {name} {1e3 * found.other:7.2f} ms, "
            f"{found.ratio:5.1f} times faster (largest difference {gap:.1e})"
        )


if __name__ == "__main__":
    main()
