from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.eval.cross_modal import DIRECTIONS, Paired, cross_modal_table, directions
from src.eval.metrics import NO_HIT


def paired(seed: int = 0, n: int = 12, dim: int = 5) -> Paired:
    """Two slides per patient, three classes."""
    rng = np.random.default_rng(seed)
    sides = (unit / np.linalg.norm(unit, axis=1, keepdims=True) for unit in rng.normal(size=(2, n, dim)))
    labels = tuple("abc"[i // 2 % 3] for i in range(n))
    images, texts = (side.astype(np.float32) for side in sides)
    return Paired(tuple(f"s{i:02d}" for i in range(n)), tuple(f"p{i // 2}" for i in range(n)), labels, images, texts)


@given(st.integers(0, 1000))
def test_hits_are_those_of_a_plain_search_without_the_patient(seed: int) -> None:
    pair = paired(seed)
    found = directions(pair)
    assert tuple(found) == DIRECTIONS
    names = sorted(set(pair.labels))
    for i, patient in enumerate(pair.patients):
        others = [j for j, owner in enumerate(pair.patients) if owner != patient]
        others.sort(key=lambda j: -float(pair.texts[i] @ pair.images[j]))
        expected = [names.index(pair.labels[j]) for j in others]
        assert found["text_to_image"].hit_label[i].tolist() == expected


def test_official_leaves_out_the_query_itself_only() -> None:
    pair = paired()
    same = Paired(pair.slide_ids, pair.patients, pair.labels, pair.images, pair.images)
    found = directions(same, "official")
    first = {name: found[name].hit_label[:, 0] for name in DIRECTIONS}
    np.testing.assert_array_equal(first["text_to_image"], found["text_to_image"].query_label)  # its own slide
    assert found["image_to_image"].n_allowed.tolist() == [11] * 12
    assert found["image_to_text"].n_allowed.tolist() == [12] * 12
    assert directions(same)["image_to_text"].n_allowed.tolist() == [10] * 12


def test_a_query_without_a_relevant_answer_is_left_out_and_counted() -> None:
    pair = paired(n=8)  # the third class has one patient
    judged = directions(pair)["text_to_image"]
    assert len(judged) == 4
    assert judged.dropped == {"without a relevant item in their database": 4}
    assert (judged.hit_label != NO_HIT).all()


def test_slides_without_a_label_are_not_judged() -> None:
    pair = paired()
    some = Paired(pair.slide_ids, pair.patients, ("", "", *pair.labels[2:]), pair.images, pair.texts).labelled()
    assert some.slide_ids == pair.slide_ids[2:]
    np.testing.assert_array_equal(some.texts, pair.texts[2:])


def test_table_has_every_direction_with_intervals_and_chance() -> None:
    table = cross_modal_table(directions(paired())).set_index(["direction", "metric"])
    assert {"top1", "mMV@3", "pathsearch/@5", "pathsearch/recall@5", "pathsearch/MV@5", "chance_top1"} <= set(
        table.loc["text_to_image"].index
    )
    chance = table["value"].loc[("image_to_text", "chance_top1")]
    assert chance == pytest.approx(0.2)
    assert table["patients"].eq(6).all()
    assert table["value"].loc["image_to_text"].loc[["pathsearch/@5", "top1"]].nunique() == 1


def test_a_direction_that_nothing_can_be_judged_in_has_no_row() -> None:
    assert cross_modal_table(directions(paired(n=2))).empty


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave_out is 'slide'; expected one of patient, official"):
        directions(paired(), "slide")
