from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader

from src.errors import ConfigError, WeightsUnavailable
from src.models.pathsearch.losses import contrast
from src.models.pathsearch.module import SlideReportContrast, found
from src.models.pathsearch.network import PathSearchNetwork
from src.models.pathsearch.slide_encoder import SlideEncoder
from src.models.pathsearch.trained import TrainedPathSearch, read_pathsearch, reports_of
from src.models.pathsearch.word_reports import WordReports
from tests.models.pathsearch.reports import pairs

WORDS = WordReports(dim=16, n_rows=256)
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*litlogger.*")


def model() -> SlideReportContrast:
    return SlideReportContrast(8, WORDS, 16, 3, diversity_weight=1.0, lr=0.01, weight_decay=0.05, seed=0)


def trainer(max_epochs: int, **more: object) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    plain = {"accelerator": "cpu", "enable_model_summary": False, "num_sanity_val_steps": 0}
    return Trainer(max_epochs=max_epochs, use_distributed_sampler=False, **quiet, **plain, **more)  # type: ignore[arg-type]


def trained(folder: Path, max_epochs: int, ckpt_path: Path | None = None) -> SlideReportContrast:
    seed_everything(0, verbose=False)
    learner, fitter = model(), trainer(max_epochs)
    fitter.fit(learner, pairs(), ckpt_path=ckpt_path, weights_only=True)
    fitter.save_checkpoint(folder / f"{max_epochs}.ckpt")
    return learner


def test_words_of_a_class_find_its_slides_among_patients_not_seen(tmp_path: Path) -> None:
    learner, data = trained(tmp_path, 25), pairs()
    read = read_pathsearch(tmp_path / "25.ckpt")
    words = torch.from_numpy(read.text_vectors(["a benign tissue", "a tumour tissue"]))
    slides = data.reports_in("test").index
    bags = [torch.from_numpy(data.store.load(slide).features) for slide in slides]
    nearest = (learner.eval().network.slides(bags).slide @ words.T).argmax(1)
    is_right = [("benign", "tumour")[i] in data.reports[slide] for i, slide in zip(nearest, slides, strict=True)]
    assert sum(is_right) / len(is_right) > 0.8


def test_a_stopped_training_goes_on_exactly(tmp_path: Path) -> None:
    whole = trained(tmp_path, 4)
    trained(tmp_path, 2)
    resumed = trained(tmp_path, 4, tmp_path / "2.ckpt")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_loss_is_contrast_and_sameness(tmp_path: Path) -> None:
    learner = trained(tmp_path, 1)
    metrics = learner.trainer.callback_metrics
    for split in ("train", "val"):
        assert metrics[f"{split}/loss"] == pytest.approx(
            float(metrics[f"{split}/contrast"] + metrics[f"{split}/sameness"]), abs=1e-5
        )
    assert 0 <= metrics["val/found"] <= 1


def test_a_slide_of_the_same_patient_counts_as_found() -> None:
    cosines = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert found(cosines, ["same", "same", "other"]) == pytest.approx(2 / 3)


def test_no_text_tower_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^model pathsearch: no text tower; say report=biomedclip[^\n]*$"):
        SlideReportContrast(8, None, 16, 3, 1.0, 0.01, 0.05, 0)


def test_projection_of_reports_has_as_many_parameters_as_published() -> None:
    network = PathSearchNetwork(SlideEncoder(768, 768, 16), WORDS.build(), 512)
    assert network.text_projection is not None
    assert sum(weight.numel() for weight in network.text_projection.parameters()) == 393_984


def test_official_names_load(tmp_path: Path) -> None:
    network = PathSearchNetwork(SlideEncoder(9, 16, 2), None, 0)
    names = {f"module.{name}": value for name, value in network.state_dict().items()}
    extra = {"module.text_model.visual.head.weight": torch.ones(2), "module.text_model.logit_scale": torch.ones(())}
    torch.save({"state_dict": {**names, **extra}}, tmp_path / "official.pt")
    read = read_pathsearch(tmp_path / "official.pt")
    assert (read.visual.dim_in, read.visual.dim, read.visual.n_mosaics) == (9, 16, 2)
    assert read.digest() == TrainedPathSearch(network, None).digest()
    with pytest.raises(ConfigError, match=r"^these weights of PathSearch have no text tower[^\n]*$"):
        read.text_vectors(["words"])


def test_settings_of_a_tower_build_it_again() -> None:
    assert reports_of(WORDS.settings()) == WORDS


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "other.pt")
    with pytest.raises(WeightsUnavailable, match=r"no slide encoder of PathSearch in it[^\n]*$"):
        read_pathsearch(tmp_path / "other.pt")


class _Contrasted(LightningModule):
    """Each process has half of the pairs; the gradient has to be that of all."""

    def __init__(self) -> None:
        super().__init__()
        self.gather = [SlideReportContrast(4, WORDS, 8, 1, 1.0, 0.01, 0.05, 0)]  # in a list, its weights are not learnt
        self.layer = nn.Linear(4, 3)

    def training_step(self, pair: Tensor, batch_idx: int) -> Tensor:
        self.gather[0]._trainer = self._trainer
        slides, reports = (nn.functional.normalize(self.layer(side), dim=-1) for side in pair)
        slides, reports = (self.gather[0]._of_all_processes(side) for side in (slides, reports))
        return contrast(slides, reports, torch.tensor(5.0))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.layer.parameters(), 0.5)


def _contrasted(n_processes: int) -> dict[str, Tensor]:
    seed_everything(0, verbose=False)
    module = _Contrasted()
    pairs_of_all = torch.randn(2, 8, 4)
    halves = list(pairs_of_all.chunk(n_processes, dim=1))
    strategy = "ddp_spawn" if n_processes > 1 else "auto"
    trainer(1, devices=n_processes, strategy=strategy).fit(module, DataLoader(_Own(halves), batch_size=None))  # type: ignore[arg-type]
    return dict(module.layer.state_dict())


class _Own:
    """What this process has."""

    def __init__(self, parts: list[Tensor]) -> None:
        self.parts = parts

    def __getitem__(self, index: int) -> Tensor:
        rank = torch.distributed.get_rank() if len(self.parts) > 1 else 0
        return self.parts[rank]

    def __len__(self) -> int:
        return 1


def test_every_weight_that_is_learnt_has_a_gradient() -> None:
    learner = model()
    learner._trainer = trainer(1)
    learner.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    learner.training_step(next(iter(pairs().train_dataloader())), 0).backward()  # type: ignore[no-untyped-call]
    assert [name for name, weight in learner.named_parameters() if weight.requires_grad and weight.grad is None] == []


@pytest.mark.slow
def test_two_processes_contrast_all_pairs_as_one_does() -> None:
    for name, value in _contrasted(1).items():
        torch.testing.assert_close(_contrasted(2)[name], value, rtol=1e-4, atol=1e-5)
