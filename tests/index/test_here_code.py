from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from src.errors import ConfigError, FeatureFileError, IncompatibleParts, IndexMismatch, WeightsUnavailable
from src.index.codes.here import Here
from src.index.codes.learned import LearnedCode
from src.index.engine import RetrievalEngine
from src.index.folder import head_in
from src.index.indexes.flat import Flat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.models.heads.head import BagOutput
from src.models.heads.here import Here as HereHead
from src.models.tasks import ClassTask
from src.models.trained_head import TrainedHead
from tests.index.databases import MemoryStore, random_database, slide_of
from tests.index.test_engine import SAMPLE

TISSUE = ClassTask("tissue", ("gland", "stroma"))


class Pooled(torch.nn.Module):
    """A head that knows no single patches."""

    def __init__(self, dim_in: int) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {"dim_in": dim_in}
        self.dim_out = dim_in

    def forward(self, bag: torch.Tensor) -> BagOutput:
        return BagOutput(bag.mean(0), torch.full((len(bag),), 1 / len(bag)))


def trained(dim: int = 32, seed: int = 0) -> TrainedHead:
    torch.manual_seed(seed)
    head = HereHead(dim, 16, 8)
    return TrainedHead(head, torch.nn.Linear(16, 2), TISSUE)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    trained().write(tmp_path / "trained.pt")
    return str(tmp_path / "trained.pt")


def engine_of(code: Here) -> RetrievalEngine:
    return RetrievalEngine("here", AllPatches(), code, Flat("cosine"), NearestPatch(3), SAMPLE)


def features(n: int = 5, dim: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.golden
def test_indexed_and_searched_vectors_are_those_of_the_official_network(golden_dir: Path, tmp_path: Path) -> None:
    with np.load(golden_dir / "here_attention.npz", allow_pickle=False) as recorded:
        state = {key[6:]: torch.from_numpy(recorded[key]) for key in recorded.files if key.startswith("state/")}
        torch.save({"MODEL_STATE": state, "EPOCHS_RUN": 1}, tmp_path / "snapshot.pt")
        code, bag = Here(str(tmp_path / "snapshot.pt")), recorded["bag"][0]
        for ours, name in [
            (code.encode(bag).values, "patch_index_vectors"),
            (code.encode_query(bag).values, "query_vector"),
            (code.attention(bag), "A"),
        ]:
            assert ours is not None
            np.testing.assert_allclose(ours, recorded[name].reshape(ours.shape), rtol=1e-5, atol=1e-5)
        logits = recorded["out/TP53_cls_logits"].flatten()
        said = {predicted.name: predicted for predicted in code.predictions(bag)}
        assert said["TP53_cls"].value == pytest.approx(np.exp(logits[1]) / np.exp(logits).sum(), abs=1e-5)
        assert said["TIDE_CAF"].value == pytest.approx(recorded["out/TIDE_CAF_logits"].item(), abs=1e-5)


def test_patches_are_projected_the_same_in_one_piece_and_in_many(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Here(checkpoint).encode(features(11)).values
    monkeypatch.setattr("src.index.codes.here._CHUNK", 4)
    np.testing.assert_allclose(Here(checkpoint).encode(features(11)).values, whole, atol=1e-6)
    assert whole.shape == (11, 16)


@pytest.mark.parametrize("has_head", [True, False])
def test_a_query_is_one_vector_or_one_per_patch(checkpoint: str, has_head: bool) -> None:
    head = checkpoint if has_head else None
    assert len(Here(head).encode_query(features())) == 1
    patches = Here(head, "patches")
    np.testing.assert_array_equal(patches.encode_query(features()).values, patches.encode(features()).values)


def test_without_a_head_there_is_neither_attention_nor_prediction_nor_digest() -> None:
    code = Here()
    assert isinstance(code, LearnedCode)
    assert (code.attention(features()), code.predictions(features()), code.digest()) == (None, (), None)


def test_another_kind_of_query_is_refused() -> None:
    with pytest.raises(ConfigError, match="query is 'mean', expected pooled or patches"):
        Here(query="mean")


def test_a_head_without_vectors_of_patches_is_refused(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = TrainedHead(Pooled(32), torch.nn.Linear(32, 2), TISSUE)
    monkeypatch.setattr("src.index.codes.here.read_trained_head", lambda path: pooled)
    with pytest.raises(IncompatibleParts, match=r"head Pooled of .* does not project single patches"):
        Here(checkpoint).encode(features())


def test_features_of_another_dimension_are_refused_with_slide_file_and_both_numbers(checkpoint: str) -> None:
    with pytest.raises(IncompatibleParts) as error:
        engine_of(Here(checkpoint)).build(random_database(0, [3], dim=20))
    assert str(error.value).startswith(f"s000: features have 20 columns, the head of {checkpoint} takes 32; use")


@pytest.mark.parametrize("has_head", [True, False])
def test_a_slide_of_nan_is_named(checkpoint: str, has_head: bool) -> None:
    good, bad = features(), features()
    bad[2, 3] = np.nan
    store = MemoryStore([slide_of("good", good), slide_of("bad", bad)])
    engine = engine_of(Here(checkpoint if has_head else None))
    with pytest.raises(FeatureFileError, match=r"^bad: features: 1 of 5 vectors"):
        engine.build(store)
    engine = engine_of(Here(checkpoint if has_head else None))
    engine.build(MemoryStore(store.slides[:1]))
    with pytest.raises(FeatureFileError, match=r"^bad: features: 1 of [15] "):
        engine.search(slide_of("bad", bad), 1)


def test_an_index_keeps_its_head_and_answers_with_it_when_the_checkpoint_is_gone(
    checkpoint: str, tmp_path: Path
) -> None:
    engine, query = engine_of(Here(checkpoint)), slide_of("q", features())
    engine.build(random_database(0, [4] * 6))
    engine.save(tmp_path / "index")
    Path(checkpoint).unlink()
    again = engine_of(Here(str(tmp_path / "index" / "head.pt")))
    again.load(tmp_path / "index")
    assert again.search(query, 5) == engine.search(query, 5)


def test_a_damaged_head_of_an_index_is_named_before_it_is_read(checkpoint: str, tmp_path: Path) -> None:
    engine = engine_of(Here(checkpoint))
    engine.build(random_database(0, [4] * 6))
    engine.save(tmp_path / "index")
    assert head_in(tmp_path / "index") == tmp_path / "index" / "head.pt"
    (tmp_path / "index" / "head.pt").write_bytes(b"PK")
    with pytest.raises(IndexMismatch, match=r"head\.pt has SHA-256 .*; rebuild it"):
        head_in(tmp_path / "index")


def test_an_index_of_other_weights_is_not_searched(checkpoint: str, tmp_path: Path) -> None:
    engine = engine_of(Here(checkpoint))
    engine.build(random_database(0, [4] * 6))
    engine.save(tmp_path / "index")
    trained(seed=1).write(Path(checkpoint))
    with pytest.raises(IndexMismatch, match=r"built with trained weights \w{12}, head.checkpoint= gives \w{12}; leave"):
        engine_of(Here(checkpoint)).load(tmp_path / "index")
    with pytest.raises(IndexMismatch, match=r"built with trained weights \w{12}, head.checkpoint= gives None"):
        engine_of(Here()).load(tmp_path / "index")


def test_a_missing_checkpoint_is_one_line() -> None:
    with pytest.raises(WeightsUnavailable, match=r"head\.checkpoint=nowhere\.pt: no such file"):
        Here("nowhere.pt").encode(features())
