"""Transformer layers of SynSP and SynSP++: attention and feed-forward, each normed at its end.

Whoever builds them says which attention they have: `Attention` as it is published, or
`FusedAttention`, which is the same function and faster.

Shape letters: B batch, L query tokens, M memory tokens, E width.
"""

from torch import Tensor, nn
from torch.nn import functional

from poise_models.base.attention import NORM_EPS, Attention
from poise_models.fast.dropout import Dropout
from poise_models.networks.synergy_config import SynergyConfig


class FeedForward(nn.Module):
    """Two linear layers with a ReLU, then dropout, residual and LayerNorm."""

    def __init__(self, config: SynergyConfig) -> None:
        super().__init__()
        self.widen = nn.Linear(config.width, config.feed_forward)
        self.narrow = nn.Linear(config.feed_forward, config.width)
        self.dropout = Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E), token by token."""
        update = self.narrow(functional.relu(self.widen(x_BLE), inplace=True))
        normed: Tensor = self.norm(x_BLE + self.dropout(update))
        return normed


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, config: SynergyConfig, attention: type[Attention]) -> None:
        super().__init__()
        self.attention = attention(config.width, config.heads, config.dropout)
        self.feed_forward = FeedForward(config)

    def forward(self, x_BLE: Tensor) -> Tensor:
        """Map (B, L, E) to (B, L, E)."""
        out: Tensor = self.feed_forward(self.attention(x_BLE, x_BLE))
        return out


def encoder_layers(config: SynergyConfig, attention: type[Attention]) -> nn.Sequential:
    """A stack of encoder layers, as many as the configuration has."""
    return nn.Sequential(*[EncoderLayer(config, attention) for _ in range(config.layers)])


class DecoderLayer(nn.Module):
    """Cross-attention and feed-forward; self-attention first where it is configured."""

    def __init__(self, config: SynergyConfig, attention: type[Attention]) -> None:
        super().__init__()
        self.self_attention: Attention | None = None
        if config.self_attention:
            self.self_attention = attention(config.width, config.heads, config.dropout)
        self.cross_attention = attention(config.width, config.heads, config.dropout)
        self.feed_forward = FeedForward(config)

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Map the query (B, L, E), looking at the memory (B, M, E)."""
        if self.self_attention is not None:
            query_BLE = self.self_attention(query_BLE, query_BLE)
        out: Tensor = self.feed_forward(self.cross_attention(query_BLE, memory_BME))
        return out


class Decoder(nn.Module):
    """A stack of decoder layers over one memory."""

    def __init__(self, config: SynergyConfig, attention: type[Attention], layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config, attention) for _ in range(layers))

    def forward(self, query_BLE: Tensor, memory_BME: Tensor) -> Tensor:
        """Map the query (B, L, E), looking at the memory (B, M, E)."""
        for layer in self.layers:
            query_BLE = layer(query_BLE, memory_BME)
        return query_BLE
