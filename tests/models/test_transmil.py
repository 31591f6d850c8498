from __future__ import annotations

import pytest
import torch

from src.errors import ConfigError
from src.models.heads.transmil import TransMil, class_attention


@pytest.mark.parametrize("n_patches", [1, 2, 9, 50])
def test_attention_is_the_first_row_of_the_matrix_that_torchmil_makes(n_patches: int) -> None:
    torch.manual_seed(n_patches)
    head = TransMil(5, dim_hidden=16, n_attention_heads=4, n_landmarks=8).eval()
    last = head.transformer.layers[-1].att_module
    tokens = torch.randn(n_patches + 1, 16)
    _, matrix = last(tokens[None], return_att=True)
    torch.testing.assert_close(class_attention(last, tokens), matrix[0].mean(0)[0])

    bag = torch.randn(n_patches, 5)
    _, seen = head.transformer(head.project(bag)[None], return_att=True)
    seen = seen[0].clamp_min(0)
    torch.testing.assert_close(head(bag).attention, seen / seen.sum())


def test_patches_see_each_other() -> None:
    torch.manual_seed(0)
    head, bag = TransMil(5, dim_hidden=16, n_attention_heads=4, n_landmarks=8).eval(), torch.randn(9, 5)
    assert not torch.allclose(head(bag).embedding, head(bag.flip(0)).embedding, atol=1e-4)


def test_tokens_that_cannot_be_divided_among_the_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"dim_hidden is 10, expected a multiple of head\.n_attention_heads=4"):
        TransMil(5, dim_hidden=10, n_attention_heads=4)
