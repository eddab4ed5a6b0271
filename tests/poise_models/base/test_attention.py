"""Attention as it is published, against PyTorch's."""

import torch
from torch.nn import functional

from poise_models.base.attention import HEAD_WIDTH, Attention


def test_it_is_scaled_dot_product_attention_with_residual_and_norm() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.2).eval()
    query, memory = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    columns = (attention.query(query), *attention.key_value(memory).chunk(2, dim=-1))
    q, k, v = (column.unflatten(-1, (3, HEAD_WIDTH)).transpose(1, 2) for column in columns)
    mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    expected = attention.norm(query + attention.out(mixed))
    torch.testing.assert_close(attention(query, memory), expected)


def test_training_drops_weights_and_update() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.2).train()
    query, memory = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    drawn = [attention(query, memory) for _ in range(2)]
    assert not torch.equal(drawn[0], drawn[1])
    attention.eval()
    assert torch.equal(attention(query, memory), attention(query, memory))
