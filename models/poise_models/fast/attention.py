"""Attention in fewer and larger matrix products than it is published in.

Keys and values are never made. A head's scores are x Wq Wk' m', and its share of the output is
softmax(scores) m Wv Wo. So the products Wq Wk' and Wv Wo (E x E a head) do the work of all four
matrices: all heads read the memory as it is, in products large enough for a processor to be fast
at, where heads of 64 numbers by 8 tokens are not. docs/benchmarks.md has what that brings.

Shape letters: B batch, L query tokens, M memory tokens, E width, A = heads x E, Q = L x heads.
"""

from typing import Any, Self

import torch
from torch import Tensor

from poise_models.base.attention import ATTENTION_DROPOUT, HEAD_WIDTH, Attention
from poise_models.fast.dropout import Dropout


class FusedAttention(Attention):
    """The same function of the same weights as `Attention`; results agree to rounding."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.attention_dropout = Dropout(ATTENTION_DROPOUT)
        self.dropout = Dropout(dropout)
        self._kept: tuple[tuple[object, ...], tuple[Tensor, Tensor]] | None = None

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Attend from the query's tokens to the memory's; (B, L, E)."""
        batch, length, width = query_BLE.shape
        score_EA, out_AE = self._products()
        query = query_BLE.reshape(-1, width)
        asked_BQE = (query @ score_EA).view(batch, length * self.heads, width)
        multiplied = _Scores.apply if self.training else _scores
        scores_BMQ: Tensor = multiplied(memory_BME, asked_BQE)
        weights_BMQ = self.attention_dropout(scores_BMQ.softmax(1))
        mixed = torch.bmm(weights_BMQ.transpose(1, 2), memory_BME).view(batch * length, -1)
        if self.training:
            update = query + self.dropout(mixed @ out_AE)
        else:
            update = torch.addmm(query, mixed, out_AE)
        out_BLE: Tensor = self.norm(update).view(batch, length, width)
        return out_BLE

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
