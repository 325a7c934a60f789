"""What a user's own functions may return, and what goes to another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gossamer.errors import SettingError, UserCodeError
from gossamer.recipes.sources import ModelSource, TaskSource, as_task
from gossamer.references import Reference
from gossamer.tasks import LoaderTask, NodeClassification, datasets

CODE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

rows = TensorDataset(torch.randn(8, 3), torch.randint(2, (8,)))
three = (rows, rows, rows)
net = nn.Linear(3, 2)
def nothing(): pass
def text(): return "task"
def sized(task): return nn.Linear(task.example()[0].shape[1], 2)
"""


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Returns a function from an attribute to the reference of it, in a file whose name cannot be imported."""
    path = tmp_path / "own-code.py"
    path.write_text(CODE)
    return lambda attribute: f"{path}:{attribute}"


def test_a_task_is_made_of_what_users_have() -> None:
    rows = TensorDataset(torch.randn(8, 3), torch.randint(2, (8,)))
    task = LoaderTask(rows, rows, rows)
    assert as_task(task, of="x") is task
    assert isinstance(as_task([rows, DataLoader(rows), rows], of="x"), LoaderTask)
    data = datasets.read("digits-graph").to_pyg()
    made = [as_task(data, of="x", seed=seed) for seed in (0, 0, 1)]
    assert all(isinstance(task, NodeClassification) for task in made)
    first, same, other = (next(task.batches("test")) for task in made)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("nothing", "gave nothing, expected a gossamer Task, a PyTorch Geometric Data with x, edge_index and y, or"),
        ("text", "gave a str, expected"),
        ("net", "gave a Linear, expected"),
    ],
)
def test_what_makes_no_task_is_named(own: Any, attribute: str, message: str) -> None:
    with pytest.raises(UserCodeError, match=message):
        TaskSource(reference=Reference.parse(own(attribute)))(0)


def test_networks_of_ones_own(own: Any) -> None:
    tasks = TaskSource(reference=Reference.parse(own("three")))
    made = ModelSource(own("sized"), tasks)()
    assert isinstance(made, nn.Linear)
    assert made.in_features == 3
    with pytest.raises(UserCodeError, match=r"returned a str, expected a torch\.nn\.Module"):
        ModelSource(own("text"), tasks)()
    with pytest.raises(SettingError, match="is a network, expected what makes one, so that each seed has its own"):
        ModelSource(own("net"), tasks)()


def test_sources_travel_without_what_they_made(own: Any) -> None:
    tasks = TaskSource(reference=Reference.parse(own("three")))
    assert tasks(0) is tasks(0)
    sent = cloudpickle.dumps((ModelSource(own("sized"), tasks), tasks))
    assert len(sent) < 2000
    network, there = cloudpickle.loads(sent)
    assert isinstance(network(), nn.Linear)
    assert there(0) is not tasks(0)
