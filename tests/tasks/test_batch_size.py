"""Tasks whose steps take batches can be given others; everything else of them stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from gossamer.distill import Distilled
from gossamer.errors import DataError
from gossamer.graph import csbm
from gossamer.tasks import ImageClassification, Images, LoaderTask, NodeClassification, Robust, Task
from gossamer.tasks.sampled_node import SampledNodeClassification

DRAW = torch.Generator().manual_seed(0)
ROWS = TensorDataset(torch.randn(40, 4, generator=DRAW), torch.arange(40) % 3)


def images() -> ImageClassification:
    x = torch.rand(49, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(49) % 3
    return ImageClassification(Images(x[:40], y[:40], x[40:], y[40:], 3), batch_size=6)


def whole_graph() -> NodeClassification:
    return NodeClassification.from_graph(csbm(90, 3, 8, seed=0), per_class=12, val_per_class=5)


TASKS = {
    "images": images,
    "robust": lambda: Robust(images()),
    "distilled": lambda: Distilled(images(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))),
    "data set": lambda: LoaderTask(ROWS, ROWS, ROWS, batch_size=6),
    "loader": lambda: LoaderTask(DataLoader(ROWS, batch_size=6, shuffle=True, drop_last=True), ROWS, ROWS),
    "sampled": lambda: SampledNodeClassification(whole_graph(), [3, 3], batch_size=6),
}


def labels(task: Task) -> list[int]:
    """How many examples each training step takes."""
    found = []
    for batch in task.batches("train", seed=1):
        last = batch[-1] if isinstance(batch, tuple | list) else None
        found.append(len(last) if isinstance(last, Tensor) else batch.num_seeds)
    return found


@pytest.mark.parametrize("name", TASKS)
def test_steps_take_as_many_as_asked_for_and_all_examples_are_seen(name: str) -> None:
    task = TASKS[name]()
    assert task.batch_size == 6
    before = labels(task)
    larger = task.with_batch_size(13)
    assert larger.batch_size == 13
    seen = labels(larger)
    assert max(seen) <= 13
    assert larger.steps() == len(seen) < task.steps()
    if name != "loader":  # which drops the last batch
        assert sum(seen) == sum(before)
    assert labels(task) == before
    assert task.batch_size == 6
    per_step, now = task.examples_per_step(), larger.examples_per_step()
    if name == "sampled":  # samples share nodes
        assert per_step < now < per_step * task.steps() / larger.steps()
    else:
        assert now * larger.steps() == pytest.approx(per_step * task.steps())


def test_orders_still_depend_on_seed_and_epoch_alone() -> None:
    task = TASKS["data set"]().with_batch_size(13)
    first, again, other = (torch.cat([y for _, y in task.batches("train", seed=1, epoch=epoch)]) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "task",
    [
        whole_graph(),
        LoaderTask([(torch.ones(2, 4), torch.zeros(2).long())], ROWS, ROWS),
    ],
    ids=["whole graph", "list of batches"],
)
def test_steps_that_take_all_there_is_cannot_change(task: Task) -> None:
    assert task.batch_size is None
    with pytest.raises(DataError, match="size of its training steps cannot be changed"):
        task.with_batch_size(5)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="batch_size is 0"):
        images().with_batch_size(0)
