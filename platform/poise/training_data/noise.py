"""The noise of denoise tracks, which training draws anew every time."""

import torch
from torch import Tensor

from poise.catalog.tracks import Noise, Track


def detected_anew(
    detected_BTC: Tensor, truth_BTC: Tensor, track: Track, generator: torch.Generator
) -> Tensor:
    """Return windows as detected; on a denoise track, truth with noise drawn anew."""
    noise = track.info.noise
    return detected_BTC if noise is None else truth_BTC + _draw(truth_BTC, noise, generator)


def _draw(like: Tensor, noise: Noise, generator: torch.Generator) -> Tensor:
    if noise.kind == "gaussian":
        unit = torch.randn(like.shape, generator=generator, device=like.device)
    else:
        unit = torch.rand(like.shape, generator=generator, device=like.device) - 0.5
    return noise.scale * unit
