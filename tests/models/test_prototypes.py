from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from src.errors import ConfigError, FeatureFileError
from src.models.bags import WholeBags
from src.models.heads.prototypes import Prototypes
from src.models.patch_sample import sample_patches
from tests.models.bags import MemoryStore, cohort_of


def _clusters(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of three well separated kinds, and which kind each is."""
    kinds = torch.arange(n) % 3
    noise = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return 10 * torch.eye(3, 4)[kinds] + 0.5 * noise, kinds


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_em_steps", [1, 3])
def test_mixture_is_that_of_scikit_learn_where_the_prior_has_no_weight(n_em_steps: int) -> None:
    head = Prototypes(4, n_prototypes=3, n_em_steps=n_em_steps, prior_weight=1e-9)
    head.prototypes.copy_(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
    bag = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    reference = GaussianMixture(
        3,
        covariance_type="diag",
        tol=0,
        reg_covar=0,
        max_iter=n_em_steps,
        weights_init=np.full(3, 1 / 3),
        means_init=head.prototypes.numpy(),
        precisions_init=np.ones((3, 4)),
    ).fit(bag.numpy())
    expected = [reference.weights_, reference.means_.flatten(), reference.covariances_.flatten()]
    np.testing.assert_allclose(head(bag).embedding, np.concatenate(expected), rtol=1e-4, atol=1e-5)


def test_a_kind_of_patches_that_a_slide_lacks_keeps_its_prior() -> None:
    head = Prototypes(4, n_prototypes=3)
    head.prototypes.copy_(10 * torch.eye(3, 4))
    patches, kinds = _clusters()
    weights, means, variances = head(patches[kinds != 2]).embedding.split([3, 12, 12])
    assert weights.tolist() == pytest.approx([21 / 43, 21 / 43, 1 / 43])  # 20 patches each, and one of the prior
    torch.testing.assert_close(means[-4:], head.prototypes[2])
    torch.testing.assert_close(variances[-4:], torch.ones(4))


def test_prototypes_are_the_kinds_of_patches_in_standardised_columns_and_the_same_for_the_same_seed() -> None:
    patches, kinds = _clusters()
    heads = [Prototypes(4, n_prototypes=3) for _ in range(2)]
    for head in heads:
        head.fit(patches, seed=5)
    assert torch.equal(heads[0].prototypes, heads[1].prototypes)
    centres = torch.stack([patches[kinds == kind].mean(0) for kind in range(3)])
    expected = (centres - patches.mean(0)) / patches.std(0, correction=0)
    order = torch.cdist(expected, heads[0].prototypes).argmin(1)
    torch.testing.assert_close(heads[0].prototypes[order], expected)


def test_mixed_precision_leaves_the_mixture_as_it_is() -> None:
    head, (patches, _) = Prototypes(4, n_prototypes=3), _clusters()
    head.fit(patches, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(patches).embedding
    assert torch.equal(mixed, head(patches).embedding)


def test_a_constant_column_stays_finite() -> None:
    patches, _ = _clusters()
    patches[:, 3] = 0.1
    head = Prototypes(4, n_prototypes=3)
    head.fit(patches, seed=0)
    assert head(patches).embedding.isfinite().all()


def test_fewer_patches_than_prototypes_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"n_prototypes is 16, train has 3 patches; choose fewer"):
        Prototypes(4).fit(torch.randn(3, 4), seed=0)
    with pytest.raises(ConfigError, match="n_em_steps 0"):
        Prototypes(4, n_em_steps=0)


def _bags(n_patients: int = 4) -> WholeBags:
    labels, patients = cohort_of(n_patients)
    return WholeBags(MemoryStore(labels, patients), labels)


def test_sample_has_as_many_patches_of_each_slide_and_the_same_for_the_same_seed() -> None:
    bags = _bags()
    drawn = sample_patches(bags, 40, seed=1)
    assert len(drawn) == 40
    for index in range(len(bags)):
        assert sum(any(torch.equal(row, patch) for patch in bags[index].features) for row in drawn) == 5
    assert torch.equal(drawn, sample_patches(_bags(), 40, seed=1))
    assert not torch.equal(drawn, sample_patches(bags, 40, seed=2))


def test_sample_is_everything_when_there_is_less_and_some_slides_when_there_are_more() -> None:
    bags = _bags()
    assert len(sample_patches(bags, 10_000, seed=0)) == sum(len(bags[index].features) for index in range(len(bags)))
    assert len(sample_patches(bags, 3, seed=0)) == 3


def test_sample_refuses_features_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    bags = _bags()
    monkeypatch.setattr(np, "isfinite", lambda values: np.zeros_like(values, dtype=bool))
    with pytest.raises(FeatureFileError, match="NaN or infinity"):
        sample_patches(bags, 40, seed=0)
