"""A task on loaders of the user's own: batches by seed and epoch alone, metrics against sums written out."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.tasks import LoaderTask

X = torch.arange(30.0).reshape(10, 3)
Y = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
ROWS = TensorDataset(X, Y)


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Augments with every global generator that users' code draws from."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        noise = torch.rand(1) + random.random() + float(np.random.rand())  # noqa: NPY002
        return noise.expand(3), Y[row]


def flat(task: LoaderTask, seed: int, epoch: int) -> list[float]:
    return [value for x, _ in task.batches("train", seed=seed, epoch=epoch) for value in x.flatten().tolist()]


LOADERS = {
    "a data set": lambda: ROWS,
    "a shuffling loader": lambda: DataLoader(ROWS, batch_size=4, shuffle=True),
    "a loader with a generator": lambda: DataLoader(ROWS, 4, shuffle=True, generator=torch.Generator().manual_seed(3)),
    "a data set with noise": Noisy,
    "a loader with workers": lambda: DataLoader(Noisy(), 3, shuffle=True, num_workers=1),
}


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS.keys())
def test_batches_are_those_of_seed_and_epoch(make) -> None:
    task = LoaderTask(make(), ROWS, ROWS)
    first = flat(task, 0, 0)
    torch.manual_seed(99)
    random.seed(99)
    assert flat(task, 0, 1) != first
    assert flat(task, 1, 0) != first
    assert flat(task, 0, 0) == first == flat(LoaderTask(make(), ROWS, ROWS), 0, 0)


def test_making_batches_does_not_touch_the_networks_random_numbers() -> None:
    def draws(task: LoaderTask | None) -> list[float]:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        found = []
        for _ in task.batches("train") if task else range(3):
            found += [float(torch.rand(())), random.random(), float(np.random.rand())]  # noqa: NPY002
        return found

    assert draws(LoaderTask(Noisy(), ROWS, ROWS, batch_size=2)) == draws(None)


def test_leaving_in_the_middle_leaves_the_generators_alone() -> None:
    batches = LoaderTask(Noisy(), ROWS, ROWS, batch_size=2).batches("train")
    next(batches)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    batches.close()
    assert torch.equal(torch.get_rng_state(), before)


def test_classification_is_counted_by_hand() -> None:
    class Thirds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot((x[:, 0] < 15).long(), 3).float()  # class 1 for the first five rows

    task = LoaderTask(ROWS, ROWS, DataLoader(ROWS, batch_size=3))
    assert task.evaluate(Thirds(), "test")["accuracy"] == pytest.approx(4 / 10)
    assert (task.metric, task.higher_is_better, task.steps()) == ("accuracy", True, 1)


def test_own_loss_and_metrics() -> None:
    data = TensorDataset(X, X.sum(1, keepdim=True))
    model = nn.Linear(3, 1)
    task = LoaderTask(data, data, data, loss=nn.functional.l1_loss)
    outputs = model(X).detach()
    expected = float((outputs - X.sum(1, keepdim=True)).abs().mean())
    assert task.evaluate(model, "val") == {"loss": pytest.approx(expected)}
    assert (task.metric, task.higher_is_better) == ("loss", False)
    assert task.loss(model, (X, X.sum(1, keepdim=True))).item() == pytest.approx(expected)

    def worst(outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs - truth).abs().max()

    task = LoaderTask(data, data, data, loss=nn.functional.l1_loss, metrics={"worst": worst}, higher_is_better=False)
    assert task.evaluate(model, "test") == {"worst": pytest.approx(float(worst(outputs, X.sum(1, keepdim=True))))}
    assert (task.metric, task.higher_is_better) == ("worst", False)


def test_batches_of_any_form() -> None:
    batches = [{"image": X[:4], "label": Y[:4]}, {"image": X[4:], "label": Y[4:]}]
    task = LoaderTask(batches, batches, batches, unpack=lambda batch: ((batch["image"],), batch["label"]))
    assert task.steps() == 2
    assert torch.equal(task.example()[0], X[:4])
    assert task.examples_per_step() == 1.0
    assert set(task.evaluate(nn.Linear(3, 3), "test")) == {"accuracy", "macro_f1"}
    two = TensorDataset(X, X, Y)
    assert len(LoaderTask(two, two, two).example()) == 2


def test_the_size_of_a_step_against_that_of_the_example() -> None:
    loader = DataLoader(ROWS, batch_size=4)
    assert LoaderTask(loader, ROWS, DataLoader(ROWS, batch_size=5)).examples_per_step() == pytest.approx(10 / 3 / 5)
    assert LoaderTask(loader, ROWS, ROWS, example=(X[:1],)).examples_per_step() == pytest.approx(10 / 3)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match="the training loader is empty"):
        LoaderTask([], ROWS, ROWS)
    with pytest.raises(DataError, match="the test loader yields no batch"):
        LoaderTask(ROWS, ROWS, [])
    with pytest.raises(DataError, match="can be read only once; give a DataLoader"):
        LoaderTask(iter([(X, Y)]), ROWS, ROWS)
    with pytest.raises(DataError, match=r"a batch is of shape \(10, 3\), expected \(inputs, labels\); give unpack="):
        LoaderTask([X], [X], [X])
    with pytest.raises(SettingError, match="batch_size is 0"):
        LoaderTask(ROWS, ROWS, ROWS, batch_size=0)
    task = LoaderTask(ROWS, [], ROWS)
    with pytest.raises(DataError, match="the val loader yields no batch"):
        task.evaluate(nn.Linear(3, 3), "val")
    with pytest.raises(ModelError, match=r"the loss refuses outputs of shape \(10, 2\) with labels of shape \(10,\)"):
        task.loss(nn.Linear(3, 2), (X, Y))


def test_batches_come_on_the_tasks_device() -> None:
    task = LoaderTask([(X, Y)], [(X, Y)], [(X, Y)]).to("meta")
    (batch,) = task.batches("train")
    assert batch[0].device.type == task.example()[0].device.type == "meta"
