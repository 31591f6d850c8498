"""What a head is: the features of one bag (the patches of a slide) become one embedding and a weight per patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.models.heads.dropout import ByteDropout
from src.models.task import Task


@dataclass(frozen=True)
class BagOutput:
    """A bag as one vector, or as one per output of the task.

    Attributes:
        embedding: the slide; a row per output where each has a branch of its own.
        attention: weight of each patch; they sum to 1.
        auxiliary_loss: what single patches cost, weighted; where the head was given a lesson and has such a loss.
    """

    embedding: Float[Tensor, "*branch hidden"]
    attention: Float[Tensor, " patch"]
    auxiliary_loss: Float[Tensor, ""] | None = None


class Lesson(NamedTuple):
    """What a slide should give: its target, as `task.target` makes it."""

    task: Task
    target: Tensor


@runtime_checkable
class Head(Protocol):
    """A module that pools one bag.

    Attributes:
        settings: the constructor's arguments, plain values that a checkpoint keeps.
        dim_out: length of the embedding, or of each branch's.
    """

    settings: dict[str, int | float]
    dim_out: int

    def __call__(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """Pool the patches of one slide."""
        ...


@runtime_checkable
class SupervisedHead(Head, Protocol):
    """A head that learns from single patches too, and therefore is told in training what the slide should give."""

    def check_task(self, task: Task) -> None:
        """Raise IncompatibleParts where the task is none that it can learn from patches."""
        ...

    def __call__(self, bag: Float[Tensor, "patch feature"], lesson: Lesson | None = None) -> BagOutput:
        """Pool the patches of one slide; with a lesson, say what they cost."""
        ...


@runtime_checkable
class FittedHead(Head, Protocol):
    """A head that has to see patches of the training slides before the training.

    Attributes:
        n_fitted: how many, at most.
    """

    n_fitted: int

    def fit(self, patches: Float[Tensor, "patch feature"], seed: int) -> None:
        """Find what the head needs to know of them."""
        ...


@runtime_checkable
class RetrievalHead(Head, Protocol):
    """A head whose projection of single patches can be searched."""

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """What the database stores: one unit vector per patch."""
        ...

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """What is searched for: one unit vector of all patches."""
        ...


def outputs_of(layer: nn.Linear, embedding: Float[Tensor, "*branch hidden"]) -> Float[Tensor, " output"]:
    """The outputs of one slide; where there are branches, each from its own.

    Args:
        layer: (hidden) to (output).
        embedding: (hidden), or (output, hidden).
    """
    if embedding.ndim == 1:
        outputs: Tensor = layer(embedding)
        return outputs
    return (layer.weight * embedding).sum(1) + layer.bias


def projection(dim_in: int, dim_hidden: int, dropout: float) -> nn.Sequential:
    """The layer that heads start with: patch features become hidden ones."""
    return nn.Sequential(nn.Linear(dim_in, dim_hidden), nn.ReLU(), ByteDropout(dropout))


def projected_patches(
    project: nn.Sequential, features: Float[Tensor, "patch feature"]
) -> Float[Tensor, "patch hidden"]:
    """A projection before its ReLU, at unit length, as HERE's database stores it."""
    return functional.normalize(project[0](features), dim=1)


def projected_query(
    project: nn.Sequential, features: Float[Tensor, "patch feature"], attention: Float[Tensor, " patch"]
) -> Float[Tensor, " hidden"]:
    """The projections before their ReLU, added up by attention, at unit length, as HERE searches for them."""
    return functional.normalize(attention @ project[0](features), dim=0)
