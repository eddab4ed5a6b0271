"""Multi-head attention as it is published: queries, keys, values, scaled dot products.

`poise_models.fast.attention.FusedAttention` is the same function of the same weights in fewer and
larger matrix products; networks say which of the two they are made of.

Shape letters: B batch, H heads, L query tokens, M memory tokens, E width, A numbers of a head.
"""

from torch import Tensor, nn

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
        self.attention_dropout: nn.Module = nn.Dropout(ATTENTION_DROPOUT)
        self.dropout: nn.Module = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Attend from the query's tokens to the memory's; (B, L, E)."""
        query_BHLA = self._by_head(self.query(query_BLE))
        key, value = self.key_value(memory_BME).chunk(2, dim=-1)
        key_BHMA, value_BHMA = self._by_head(key), self._by_head(value)
        scores_BHLM = query_BHLA @ key_BHMA.mT * HEAD_WIDTH**-0.5
        weights_BHLM = self.attention_dropout(scores_BHLM.softmax(dim=-1))
        mixed_BHLA = weights_BHLM @ value_BHMA
        update_BLE = self.out(mixed_BHLA.transpose(1, 2).flatten(2))
        out_BLE: Tensor = self.norm(query_BLE + self.dropout(update_BLE))
        return out_BLE

    def _by_head(self, tokens: Tensor) -> Tensor:
        """From (B, L, H x A) to (B, H, L, A)."""
        by_head: Tensor = tokens.unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2)
        return by_head
