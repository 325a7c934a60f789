"""What every kind of task must do, whatever its data."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from gossamer.graph import CSR, Graph, csbm, random_graph
from gossamer.tasks import GraphClassification, ImageClassification, Images, LinkPrediction, NodeClassification, Task


def node() -> Task:
    return NodeClassification.from_graph(
        csbm(60, classes=3, features=5, degree=6.0, seed=0), per_class=4, val_per_class=4
    )


def link() -> Task:
    return LinkPrediction(random_graph(30, 200, seed=0), features=5, embedding=4)


def graphs() -> Task:
    made = [random_graph(4 + i % 3, 6, seed=i) for i in range(40)]
    labelled = [dataclasses.replace(graph, y=torch.tensor(i % 2)) for i, graph in enumerate(made)]
    return GraphClassification(labelled, batch_size=7)


def image() -> Task:
    x = torch.randint(256, (60, 1, 6, 6), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    y = torch.arange(60) % 3
    return ImageClassification(Images(x[:50], y[:50], x[50:], y[50:], classes=3), batch_size=9, augment=True)


class Anything(nn.Module):
    """A network with dropout for any of the tasks, of the size that the task states."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        sizes = task.dimensions()
        columns = sizes["in_features"] if "in_features" in sizes else sizes["in_channels"] * sizes["image_size"] ** 2
        self.layer = nn.Linear(columns, sizes.get("out_features", sizes.get("classes")))
        self.dropout = nn.Dropout()

    def forward(self, x, graph=None, batch=None):
        x = self.layer(self.dropout(x.flatten(1)))
        return x if batch is None else x.new_zeros(int(batch.max()) + 1, x.shape[1]).index_add(0, batch, x)


@pytest.fixture(params=[node, link, graphs, image])
def task(request):
    return request.param()


def flat(batch):
    """The tensors of a batch, whatever it is."""
    if isinstance(batch, Graph):
        return [batch.adjacency.indices]
    return [batch] if isinstance(batch, Tensor) else [tensor for part in batch for tensor in flat(part)]


def test_an_epoch_has_as_many_batches_as_steps(task):
    assert len(list(task.batches("train", seed=1, epoch=2))) == task.steps() >= 1


def test_training_batches_depend_on_seed_and_epoch_only(task):
    first, again = ([flat(batch) for batch in task.batches("train", seed=3, epoch=4)] for _ in range(2))
    torch.manual_seed(99)
    later = [flat(batch) for batch in task.batches("train", seed=3, epoch=4)]
    for one, two, three in zip(first, again, later, strict=True):
        assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(one, two, three, strict=True))


def test_batches_leave_the_global_random_state_alone(task):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(task.batches("train", seed=1, epoch=1))
    assert torch.equal(torch.rand(3), expected)


def test_the_loss_is_a_scalar_with_gradients(task):
    model = Anything(task)
    for batch in task.batches("train"):
        loss = task.loss(model, batch)
        assert loss.shape == ()
        loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_evaluation_is_deterministic_and_begins_with_the_headline(task, split):
    model = Anything(task).train()
    first, again = (task.evaluate(model, split) for _ in range(2))
    assert first == again  # dropout is off
    assert next(iter(first)) == task.metric
    assert all(isinstance(value, float) and 0.0 <= value <= 1.0 for value in first.values())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_model_takes_the_example(task):
    example = task.example()
    assert all(isinstance(argument, Tensor | CSR | Graph) for argument in example)
    assert isinstance(Anything(task)(*example), Tensor)
    assert task.examples_per_step() > 0


def test_training_improves_the_loss(task):
    torch.manual_seed(0)
    model = Anything(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def mean_loss():
        model.eval()
        with torch.no_grad():
            return sum(float(task.loss(model, batch)) for batch in task.batches("train")) / task.steps()

    before = mean_loss()
    for epoch in range(10):
        model.train()
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            optimizer.step()
    assert mean_loss() < before


def test_to_gives_an_equal_task_on_the_device(task):
    moved = task.to("cpu")
    assert type(moved) is type(task)
    assert moved is not task
    model = Anything(task)
    assert moved.evaluate(model, "test") == task.evaluate(model, "test")
    assert (moved.name, moved.metric, moved.dimensions()) == (task.name, task.metric, task.dimensions())
