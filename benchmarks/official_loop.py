"""One epoch of a plain reading of HERE's official training loop, written from its description.

A slide's features are loaded whole with torch.load; the network has a module per task and the loss a call per task;
every step's predictions go to lists, judged by scikit-learn and SciPy when the epoch ends.
Source: data2intelligence/HERE_training, model.py, train.py and utils.py (commit aea9856).
Differs from it: one process (8 bags per step, for 2 GPUs x 4), and heads without a label cost 0, not NaN.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, mean_squared_error, r2_score, roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.bags import DIM, N_BAGS_PER_STEP
from src.data.targets import GENE_TARGETS, NOT_SEQUENCED, REGRESSION_TARGETS

_HIDDEN = 256


class Network(nn.Module):
    """Gated attention, rho, and one linear module per task."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(DIM, _HIDDEN), nn.ReLU(), nn.Dropout(0.25))
        self.a = nn.Sequential(nn.Linear(_HIDDEN, _HIDDEN), nn.Tanh(), nn.Dropout(0.25))
        self.b = nn.Sequential(nn.Linear(_HIDDEN, _HIDDEN), nn.Sigmoid(), nn.Dropout(0.25))
        self.c = nn.Linear(_HIDDEN, 1)
        self.rho = nn.Sequential(nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Dropout(0.25))
        self.classifiers = nn.ModuleDict({name: nn.Linear(_HIDDEN, 3) for name in GENE_TARGETS})
        self.regressors = nn.ModuleDict({name: nn.Linear(_HIDDEN, 1) for name in REGRESSION_TARGETS})

    def forward(self, bag: Tensor) -> dict[str, Tensor]:
        """The outputs of every task for one bag."""
        hidden = self.project(bag.squeeze(0))
        attention = torch.softmax(self.c(self.a(hidden) * self.b(hidden)).T, dim=1)
        pooled = self.rho(attention @ hidden)
        return {name: head(pooled) for heads in (self.classifiers, self.regressors) for name, head in heads.items()}


class Slides(Dataset[tuple[Tensor, dict[str, float]]]):
    """The features and labels of one slide at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = pd.read_csv(folder / "labels.csv")

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, float]]:
        row = self.labels.iloc[index]
        features = torch.load(self.folder / f"{row['slide_id']}.pt", weights_only=True)
        return features, {name: row[name] for name in (*GENE_TARGETS, *REGRESSION_TARGETS)}

    def __len__(self) -> int:
        return len(self.labels)


def steps_per_s(folder: Path) -> float:
    """Train on every bag once; CPU seconds count from the first optimiser step to the end of the epoch."""
    slides, network = Slides(folder), Network()
    losses = _losses(slides.labels)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-5)
    seen: dict[str, list[tuple[np.ndarray, float]]] = defaultdict(list)
    started_s = 0.0
    for i, (bag, labels) in enumerate(DataLoader(slides, batch_size=1, shuffle=True)):
        outputs = network(bag)
        loss = torch.stack([_cost(losses[name], outputs[name], label) for name, label in labels.items()]).sum()
        (loss / N_BAGS_PER_STEP).backward()
        for name, label in labels.items():
            shown = outputs[name].detach().softmax(1) if name in GENE_TARGETS else outputs[name].detach()
            seen[name].append((shown[0].numpy(), float(label)))
        if (i + 1) % N_BAGS_PER_STEP == 0:
            optimiser.step()
            optimiser.zero_grad()
        if i + 1 == N_BAGS_PER_STEP:
            started_s = time.process_time()
    _judge(seen)
    return (len(slides) - N_BAGS_PER_STEP) / (time.process_time() - started_s)


def _losses(labels: pd.DataFrame) -> dict[str, nn.Module]:
    weights = {name: [len(labels) / max(1, int((labels[name] == k).sum())) for k in range(3)] for name in GENE_TARGETS}
    classes = {
        name: nn.CrossEntropyLoss(weight=torch.tensor(weights[name]), ignore_index=NOT_SEQUENCED)
        for name in GENE_TARGETS
    }
    return {**classes, **{name: nn.MSELoss() for name in REGRESSION_TARGETS}}


def _cost(loss: nn.Module, output: Tensor, label: Tensor) -> Tensor:
    if isinstance(loss, nn.CrossEntropyLoss) and int(label) == NOT_SEQUENCED:
        return output.sum() * 0
    cost: Tensor = loss(output[:, 0], label.float()) if isinstance(loss, nn.MSELoss) else loss(output, label.long())
    return cost


def _judge(seen: dict[str, list[tuple[np.ndarray, float]]]) -> dict[str, tuple[float, ...]]:
    scores: dict[str, tuple[float, ...]] = {}
    for name, pairs in seen.items():
        values, labels = np.stack([value for value, _ in pairs]), np.array([label for _, label in pairs])
        if name in REGRESSION_TARGETS:
            x = values[:, 0]
            correlations = float(pearsonr(labels, x)[0]), float(spearmanr(labels, x)[0])
            scores[name] = (float(mean_squared_error(labels, x)), float(r2_score(labels, x)), *correlations)
            continue
        known = labels != NOT_SEQUENCED
        called = values[known].argmax(1)
        f1 = [float(f1_score(labels[known], called, average=kind)) for kind in ("micro", "macro", "weighted")]
        scores[name] = (float(roc_auc_score(labels[known], values[known, 1] - values[known, 0])), *f1)
    return scores
