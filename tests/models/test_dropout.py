from __future__ import annotations

import pytest
import torch

from src.models.heads.dropout import ByteDropout


@pytest.mark.parametrize("share", [0.25, 0.5, 0.1])
def test_share_of_values_is_zero_wherever_they_stand_and_their_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    dropped = ByteDropout(share)(torch.ones(8 * 20_000 + 3))
    is_kept = dropped != 0
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert dropped[is_kept].unique().numel() == 1
    of_byte = is_kept[: 8 * 20_000].view(-1, 8).float().mean(0)  # eight values share a random number
    assert of_byte.tolist() == pytest.approx([1 - share] * 8, abs=0.015)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    is_kept = (ByteDropout(0.25)(torch.ones(200_000)) != 0).float()
    for apart in (1, 4, 8):
        both = is_kept[:-apart] * is_kept[apart:]
        assert float(both.mean()) == pytest.approx(0.75**2, abs=0.01)


def test_gradient_goes_through_what_was_kept() -> None:
    values = torch.randn(30, 7, requires_grad=True)
    dropped = ByteDropout(0.5)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, torch.where(dropped != 0, 2.0, 0.0))


def test_seed_repeats_it_and_evaluation_leaves_it_out() -> None:
    dropout, values = ByteDropout(0.25), torch.randn(9, 5)
    torch.manual_seed(1)
    first = dropout(values)
    torch.manual_seed(1)
    assert torch.equal(dropout(values), first)
    assert dropout.eval()(values) is values
    assert ByteDropout(0.0)(values) is values
