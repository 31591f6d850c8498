from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from src.errors import IncompatibleParts, WeightsUnavailable
from src.index.codes.barcode import Barcode, falls
from src.index.codes.learned import LearnedCode
from src.index.codes.of_slides import SlideCode, check_summaries
from src.index.codes.pathsearch import PathSearch
from src.index.rankers.barcodes_and_semantics import BarcodesAndSemantics
from src.index.rankers.median_of_minima import MedianOfMinima
from src.index.rankers.patches import Patches
from src.models.pathsearch.slide_encoder import unit
from tests.index.trained import pathsearch

DIM = 12


def code(twice: bool = False) -> PathSearch:
    return PathSearch(pathsearch(DIM), twice)


def features(n: int = 9, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


def test_codes_are_barcodes_of_the_mosaic_then_of_the_slide() -> None:
    with torch.no_grad():
        vectors = unit(code().trained.visual(torch.from_numpy(features())[None]))
    codes = code().encode_query(features())
    assert isinstance(code(), LearnedCode)
    assert isinstance(code(), SlideCode)
    expected = falls(np.concatenate([vectors.mosaic[0].numpy(), vectors.slide.numpy()]))
    np.testing.assert_array_equal(np.unpackbits(codes.values, axis=1, count=63), expected)
    assert codes.summaries is not None
    np.testing.assert_allclose(codes.summaries, vectors.slide.numpy(), atol=1e-6)


def test_each_code_lies_where_its_attention_is_highest() -> None:
    places, codes = code().encode_slide(features())
    with torch.no_grad():
        vectors = code().trained.visual(torch.from_numpy(features())[None])
    assert len(places) == len(codes) == 5
    assert places[:4].tolist() == vectors.attention[0].argmax(1).tolist()
    assert places[4] == code().attention(features()).argmax()
    assert code().attention(features()).sum() == pytest.approx(1, abs=1e-5)


def test_the_official_script_for_tcga_has_the_slide_twice() -> None:
    once, twice = code().encode(features()).values, code(True).encode(features()).values
    np.testing.assert_array_equal(twice, np.concatenate([once, once[-1:]]))


def test_written_weights_code_the_same_under_the_same_name(tmp_path: Path) -> None:
    code().write(tmp_path / "head.pt")
    read = PathSearch(str(tmp_path / "head.pt"), False)
    np.testing.assert_array_equal(read.encode(features()).values, code().encode(features()).values)
    assert read.digest() == code().digest()
    np.testing.assert_array_equal(read.encode_text(["gland"]), code().encode_text(["gland"]))


def test_features_of_another_encoder_are_refused() -> None:
    with pytest.raises(IncompatibleParts, match=r"features have 9 columns, the slide encoder of [^\n]* takes 12"):
        code().encode(features(dim=9))


def test_no_checkpoint_is_said_in_one_line() -> None:
    with pytest.raises(WeightsUnavailable, match=r"^code pathsearch: no weights; train some[^\n]*$"):
        PathSearch(None, False).encode(features())


def test_codes_of_slides_and_rankings_that_need_them_or_patches() -> None:
    check_summaries(code(), BarcodesAndSemantics(200))
    check_summaries(code(), MedianOfMinima())
    with pytest.raises(IncompatibleParts, match=r"^ranking barcodes_and_semantics compares slides as a whole[^\n]*$"):
        check_summaries(Barcode("yottixel"), BarcodesAndSemantics(200))
    with pytest.raises(IncompatibleParts, match=r"^ranking patches ranks patches, code pathsearch[^\n]*$"):
        check_summaries(code(), Patches(10))
