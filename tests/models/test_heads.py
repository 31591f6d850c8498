from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.models.bag_classifier import BagClassifier
from src.models.heads.abmil import Abmil
from src.models.heads.head import FittedHead, Head, Lesson, RetrievalHead
from src.models.heads.known import head_of, head_settings
from src.models.heads.max_pool import MaxPool
from src.models.heads.mean_pool import MeanPool
from src.models.tasks import ClassTask

_HEADS = sorted((Path(__file__).resolve().parents[2] / "conf" / "head").glob("*.yaml"))
_NOT_SEARCHED_WITH = {"prototypes", "transmil"}
_SEES_THE_ORDER = {"transmil"}
_TASK = ClassTask("tissue", ("a", "b", "c"))


def _head(path: Path, dim_in: int = 5) -> Any:
    node = OmegaConf.load(path)
    of_task = {"n_outputs": 3} if "n_outputs" in node else {}
    torch.manual_seed(0)
    head = instantiate(node, _convert_="all")(dim_in, **of_task).eval()
    if isinstance(head, FittedHead):
        head.fit(torch.randn(50, dim_in), seed=0)
    return head


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_attention_sums_to_one_and_the_embedding_ignores_the_order_of_patches(path: Path) -> None:
    head, bag = _head(path), torch.randn(7, 5)
    there, back = head(bag), head(bag.flip(0))
    assert there.attention.sum().item() == pytest.approx(1)
    assert there.attention.shape == (7,)
    if path.stem in _SEES_THE_ORDER:
        return
    torch.testing.assert_close(there.embedding, back.embedding)
    torch.testing.assert_close(there.attention, back.attention.flip(0))


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_settings_build_the_same_network_again(path: Path) -> None:
    head = _head(path)
    again: Any = head_of(head_settings(head))
    assert again.settings == head.settings
    again.load_state_dict(head.state_dict())
    bag = torch.randn(3, 5)
    assert torch.equal(again.eval()(bag).embedding, head(bag).embedding)


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_one_patch_has_all_the_attention(path: Path) -> None:
    assert _head(path)(torch.randn(1, 5)).attention.tolist() == [1.0]


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_loss_of_a_bag_teaches_every_weight(path: Path) -> None:
    model = BagClassifier(_head(path), _TASK)  # in eval mode, as dropout could silence a weight
    outputs, pooled = model(torch.randn(20, 5), Lesson(_TASK, torch.tensor(1)))
    loss = _TASK.loss(outputs, torch.tensor(1)) + (pooled.auxiliary_loss or 0)
    # The bias of a score cancels in the softmax, so its gradient is 0 or what rounding makes of it.
    named = [(name, weight) for name, weight in model.named_parameters() if name != "head.score.bias"]
    names, weights = zip(*named, strict=True)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    untaught = [name for name, slope in zip(names, gradients, strict=True) if slope is None or not slope.any()]
    assert untaught == []


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_database_and_query_vectors_have_unit_length_and_those_of_one_patch_are_the_same(path: Path) -> None:
    head, features = _head(path), torch.randn(7, 5)
    assert isinstance(head, RetrievalHead) == (path.stem not in _NOT_SEARCHED_WITH)
    if isinstance(head, RetrievalHead):
        vectors = head.patch_vectors(features)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(7))
        torch.testing.assert_close(head.query_vector(features).norm(), torch.tensor(1.0))
        assert (vectors < 0).any()
        torch.testing.assert_close(head.query_vector(features[:1]), vectors[0])


@pytest.mark.parametrize("path", _HEADS, ids=lambda path: path.stem)
def test_two_heads_share_nothing(path: Path) -> None:
    one, other = _head(path), _head(path)
    assert {id(module) for module in one.modules()}.isdisjoint(id(module) for module in other.modules())


def test_abmil_is_equation_7_and_8_of_the_paper() -> None:
    head = Abmil(dim_in=4, dim_hidden=3, dim_attention=2, dropout=0.0)
    bag = torch.randn(6, 4)
    state = head.state_dict()
    V, bias, w = state["attend.0.weight"], state["attend.0.bias"], state["attend.2.weight"][0]
    h = torch.relu(bag @ state["project.0.weight"].T + state["project.0.bias"])
    scores = torch.stack([w @ torch.tanh(V @ h_k + bias) for h_k in h])
    a = scores.exp() / scores.exp().sum()
    torch.testing.assert_close(head(bag).attention, a)
    torch.testing.assert_close(head(bag).embedding, (a[:, None] * h).sum(0))


def test_mean_pool_is_the_mean_of_the_projected_patches() -> None:
    head = MeanPool(dim_in=4, dim_hidden=3, dropout=0.0)
    bag = torch.randn(6, 4)
    torch.testing.assert_close(head(bag).embedding, torch.stack([head.project(patch) for patch in bag]).mean(0))


def test_max_pool_takes_each_column_from_the_patch_that_has_most_of_it() -> None:
    head = MaxPool(dim_in=2, dim_hidden=4, dropout=0.0)
    weight = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    head.project.load_state_dict({"0.weight": weight, "0.bias": torch.zeros(4)})
    pooled = head(torch.tensor([[3.0, 1.0], [1.0, 2.0]]))
    assert pooled.embedding.tolist() == [3.0, 6.0, 2.0, 0.0]
    assert pooled.attention.tolist() == [0.625, 0.375]  # two columns and one, and half of the last, where both have 0


def test_dropout_is_active_in_training_only() -> None:
    head = Abmil(dim_in=4, dropout=0.5).train()
    assert isinstance(head, Head)
    bag = torch.randn(6, 4)
    assert not torch.equal(head(bag).embedding, head(bag).embedding)
