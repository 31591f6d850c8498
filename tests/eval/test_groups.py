from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.eval.groups import groups_of, write_groups
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run
from src.eval.training_figures import EPOCHS_FILE, boxes_per_class, curves, groups_compared


def run(encoder: str, split: int, value: float, config: dict[str, Any] | None = None, **genes: float) -> Run:
    metrics: dict[str, dict[str, Any]] = {
        "test/overall": {"value": value},
        "test/auc": {"value": float(np.mean(list(genes.values()))) if genes else None, "per_class": genes},
        "train/loss": {"value": 1.0},
    }
    overrides = ["head=here", f"encoder={encoder}", f"bags.split_seed={split}"]
    return Run("Here", overrides, metrics=metrics, config=config or {})


FOUR = Leaderboard.of(
    [
        run("uni", 0, 1.0, TP53_cls=0.5, KRAS_cls=0.7),
        run("conch", 0, 2.0, TP53_cls=0.6, KRAS_cls=0.8),
        run("uni", 1, 4.0, TP53_cls=0.9),
        run("conch", 1, 3.0, TP53_cls=0.8, KRAS_cls=1.0),
        Run("Here", ["head=here", "encoder=conch", "bags.split_seed=2"], "failed", "no slide"),
    ]
)


def test_runs_of_several_splits_and_seeds_are_one_group_with_its_best_run_first() -> None:
    groups = groups_of(FOUR)
    assert [(group.name, len(group.runs)) for group in groups] == [("encoder=uni", 2), ("encoder=conch", 2)]
    seeds = [Run("Here", [f"seed={k}", f"bags.seed={k}"], metrics={"x": {"value": 0.0}}) for k in range(3)]
    assert [(group.name, len(group.runs)) for group in groups_of(Leaderboard.of(seeds))] == [("Here", 3)]


def test_table_has_mean_and_sample_deviation_of_every_metric_and_class(tmp_path: Path) -> None:
    table = write_groups(FOUR, tmp_path)
    assert table is not None
    rows = {(row["group"], row["metric"], row["class"]): row for row in table.to_dict("records")}
    overall = rows["encoder=conch", "test/overall", ""]
    assert [overall[name] for name in ("n_runs", "mean", "low", "high")] == [2, 2.5, 2.0, 3.0]
    assert overall["sd"] == pytest.approx(np.std([2.0, 3.0], ddof=1))
    assert rows["encoder=conch", "test/auc", "TP53_cls"]["mean"] == pytest.approx(0.7)
    once = rows["encoder=uni", "test/auc", "KRAS_cls"]  # one class only in the other split
    assert once["n_runs"] == 1
    assert pd.isna(once["sd"])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "groups.csv", dtype={"values": str}).fillna({"class": ""}), table
    )
    lines = (tmp_path / "groups.md").read_text().splitlines()
    assert lines[0] == "| group | runs | test/overall | test/auc |"
    assert lines[3] == "| encoder=conch | 2 | 2.500 ± 0.707 | 0.800 ± 0.141 |"


def test_sweep_in_which_nothing_is_repeated_has_no_groups(tmp_path: Path) -> None:
    assert write_groups(Leaderboard.of([run("uni", 0, 1.0), run("conch", 0, 2.0)]), tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_boxes_hold_every_run_of_the_best_group_best_gene_first() -> None:
    figure = boxes_per_class(FOUR, "auc", 0.5)
    assert figure is not None
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["TP53", "KRAS"]
    shown = [sorted(np.asarray(dots.get_offsets())[:, 0].tolist()) for dots in axes.collections]
    assert shown == [[0.5, 0.9], [0.7]]
    assert boxes_per_class(FOUR, "spearman", 0.0) is None


def test_groups_are_compared_over_their_runs_best_mean_first() -> None:
    figure = groups_compared(FOUR, "auc")
    assert figure is not None
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["encoder=conch", "encoder=uni"]
    assert groups_compared(Leaderboard.of([run("uni", 0, 1.0), run("uni", 1, 2.0)]), "overall") is None


def test_curves_are_the_mean_of_the_splits(tmp_path: Path) -> None:
    runs = []
    for split, losses in enumerate(([4.0, 2.0], [2.0, 0.0])):
        folder = tmp_path / str(split)
        folder.mkdir()
        table = pd.DataFrame({"train/loss": losses, "val/loss": [9.0, 9.0], "val/overall": [0.0, 1.0]})
        table.to_csv(folder / EPOCHS_FILE, index_label="epoch")
        runs.append(run("uni", split, 1.0, {"paths": {"run_dir": str(folder)}}))
    figure = curves(Leaderboard.of(runs))
    assert figure is not None
    loss, overall = figure.axes
    assert (loss.get_title(loc="left"), overall.get_title(loc="left")) == ("loss", "overall")
    assert [np.asarray(line.get_ydata()).tolist() for line in loss.lines] == [[3.0, 1.0], [9.0, 9.0]]
    assert [np.asarray(line.get_ydata()).tolist() for line in overall.lines] == [[0.0, 1.0]]
    assert curves(Leaderboard.of(runs[:1])) is None
