"""Transformer parts of SynSP and SynSP++: post-norm attention and feed-forward blocks.

Shape letters: B batch, L query tokens, M memory tokens, E width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 64
ATTENTION_DROPOUT = 0.1
NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head attention without biases, then dropout, residual and LayerNorm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_WIDTH
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Attend from the query's tokens to the memory's: (B, L, E)."""
        q = self.query(query_BLE).unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2)
        kv = self.key_value(memory_BME).unflatten(-1, (2, self.heads, HEAD_WIDTH))
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, dropout_p=ATTENTION_DROPOUT if self.training else 0.0
        )
        out = self.out(mixed.transpose(1, 2).flatten(2))
        normed: Tensor = self.norm(query_BLE + self.dropout(out))
        return normed


class FeedForward(nn.Module):
    """Two linear layers with a ReLU, then dropout, residual and LayerNorm."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E), token by token."""
        update = self.narrow(functional.relu(self.widen(x_BLE)))
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
