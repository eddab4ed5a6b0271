"""Transformer parts of SynSP and SynSP++: post-norm attention and feed-forward blocks.

Shape letters: B batch, L query tokens, M memory tokens, E width.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from poise_models.fast.dropout import Dropout, dropout

HEAD_WIDTH = 64
ATTENTION_DROPOUT = 0.1
NORM_EPS = 1e-6


def _scores(memory_BME: Tensor, asked_BQE: Tensor) -> Tensor:
    # Tokens by questions: the other way round, such small products take twice as long.
    return torch.bmm(memory_BME, asked_BQE.transpose(1, 2))


class _Scores(torch.autograd.Function):
    """`_scores`, with a gradient of the questions that need not be turned round and copied."""

    @staticmethod
    def forward(ctx: Any, memory_BME: Tensor, asked_BQE: Tensor) -> Tensor:
        ctx.save_for_backward(memory_BME, asked_BQE)
        return _scores(memory_BME, asked_BQE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient_BMQ,) = gradients
        # Autocast has made the product, and so its gradient, of another type than its factors.
        memory_BME, asked_BQE = (kept.to(gradient_BMQ.dtype) for kept in ctx.saved_tensors)
        turned = gradient_BMQ.transpose(1, 2)
        return torch.bmm(gradient_BMQ, asked_BQE), torch.bmm(turned, memory_BME)


class Attention(nn.Module):
    """Multi-head attention without biases, then dropout, residual and LayerNorm.

    Keys and values are never made. A head's scores are x Wq Wk' m', and its share of the output is
    softmax(scores) m Wv Wo, so the products Wq Wk' and Wv Wo (E x E a head) do the work of all four
    matrices: all heads read the memory as it is, in products large enough for a processor to
    be fast at, where heads of 64 numbers by 8 tokens are not.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_WIDTH
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self._kept: tuple[tuple[object, ...], tuple[Tensor, Tensor]] | None = None

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Attend from the query's tokens to the memory's: (B, L, E)."""
        batch, length, width = query_BLE.shape
        score_EA, out_AE = self._products()
        query = query_BLE.reshape(-1, width)
        asked = (query @ score_EA).view(batch, length * self.heads, width)
        scores: Tensor = (_Scores.apply if self.training else _scores)(memory_BME, asked)
        weights = dropout(scores.softmax(1), ATTENTION_DROPOUT, self.training)
        mixed = torch.bmm(weights.transpose(1, 2), memory_BME).view(batch * length, -1)
        if self.training:
            update = query + self.dropout(mixed @ out_AE)
        else:
            update = torch.addmm(query, mixed, out_AE)
        normed: Tensor = self.norm(update).view(batch, length, width)
        return normed

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; optimisers change weights in ways nobody notices."""
        self._kept = None
        return super().train(mode)

    def _products(self) -> tuple[Tensor, Tensor]:
        """The two products of weights, kept for as long as the weights stay what they are."""
        matrices = (self.query.weight, self.key_value.weight, self.out.weight)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled():
            return self._multiplied()
        seen = tuple((weight.data_ptr(), weight._version, weight.dtype) for weight in matrices)
        if self._kept is None or self._kept[0] != seen:
            self._kept = seen, self._multiplied()
        return self._kept[1]

    def _multiplied(self) -> tuple[Tensor, Tensor]:
        width = self.query.in_features
        query = self.query.weight.view(self.heads, HEAD_WIDTH, width)
        key, value = self.key_value.weight.view(2, self.heads, HEAD_WIDTH, width).unbind(0)
        out = self.out.weight.view(width, self.heads, HEAD_WIDTH).permute(1, 2, 0)
        score = torch.bmm(query.transpose(1, 2), key).transpose(0, 1).reshape(width, -1)
        return score * HEAD_WIDTH**-0.5, torch.bmm(value.transpose(1, 2), out).view(-1, width)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU, then dropout, residual and LayerNorm."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E), token by token."""
        update = self.narrow(functional.relu(self.widen(x_BLE), inplace=True))
        normed: Tensor = self.norm(x_BLE + self.dropout(update))
        return normed


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, inner, dropout)

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E)."""
        out: Tensor = self.feed_forward(self.attention(x_BLE, x_BLE))
        return out


class DecoderLayer(nn.Module):
    """Cross-attention and feed-forward; self-attention first where asked for."""

    def __init__(
        self, width: int, inner: int, heads: int, dropout: float, self_attention: bool
    ) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout) if self_attention else None
        self.cross_attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, inner, dropout)

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Map the query (B, L, E), looking at the memory (B, M, E)."""
        if self.self_attention is not None:
            query_BLE = self.self_attention(query_BLE, query_BLE)
        out: Tensor = self.feed_forward(self.cross_attention(query_BLE, memory_BME))
        return out


def dct_matrix(length: int) -> Tensor:
    """The unnormalised DCT-II as a (T, T) matrix: row k is 2 cos(pi k (2 n + 1) / 2 T)."""
    n = torch.arange(length, dtype=torch.float64)
    k = n[:, None]
    angle = torch.pi * k * (2 * n + 1) / (2 * length)
    return (2 * angle.cos()).float()


def low_pass_matrix(length: int, coefficients: int) -> Tensor:
    """Projection (T, T) onto the first DCT coefficients of a window."""
    basis = dct_matrix(length).double()[:coefficients]
    basis = basis / basis.norm(dim=1, keepdim=True)
    projection: Tensor = basis.T @ basis
    return projection.float()
