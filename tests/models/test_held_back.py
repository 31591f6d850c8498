import pytest

from src.errors import ConfigError
from src.models.held_back import held_back

PATIENTS = [f"p{i}" for i in range(10)]


def test_a_share_of_the_patients_is_held_back_whatever_their_order() -> None:
    drawn = held_back(PATIENTS * 2, 0.3, seed=0)
    assert len(drawn) == 3
    assert drawn <= set(PATIENTS)
    assert held_back(PATIENTS[::-1], 0.3, seed=0) == drawn
    assert any(held_back(PATIENTS, 0.3, seed) != drawn for seed in range(1, 4))


@pytest.mark.parametrize(("fraction", "n"), [(0.0, 0), (0.001, 1), (0.999, 9)])
def test_at_least_one_is_held_back_and_never_all(fraction: float, n: int) -> None:
    assert len(held_back(PATIENTS, fraction, seed=0)) == n


@pytest.mark.parametrize(("patients", "fraction", "message"), [(["p"], 0.5, "one patient"), (PATIENTS, 1.0, "is 1.0")])
def test_what_cannot_be_held_back_is_refused(patients: list[str], fraction: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        held_back(patients, fraction, seed=0)
