from __future__ import annotations

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gossamer.errors import ModelError
from gossamer.prune.weights import last_called, prunable_weights


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.wave = nn.Conv1d(4, 6, 5, groups=2, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, kdim=6)
        self.joint = nn.MultiheadAttention(8, 2)
        self.embedding = nn.Embedding(10, 8)
        self.graph = pyg.GCNConv(8, 4)
        self.head = nn.Linear(8, 10)
        self.tied = nn.Linear(8, 10, bias=False)
        self.tied.weight = self.head.weight


def test_finds_weights_once_and_nothing_else() -> None:
    found = {weight.name: weight for weight in prunable_weights(Everything())}
    assert list(found) == [
        "conv.weight",
        "wave.weight",
        "attention.q_proj_weight",
        "attention.k_proj_weight",
        "attention.v_proj_weight",
        "attention.out_proj.weight",
        "joint.in_proj_weight",
        "joint.out_proj.weight",
        "graph.lin.weight",
        "head.weight",
    ]
    assert (found["conv.weight"].rows, found["conv.weight"].columns) == (8, 27)
    assert (found["wave.weight"].rows, found["wave.weight"].columns) == (6, 10)
    assert found["wave.weight"].bias is None
    assert found["conv.weight"].bias_name == "conv.bias"
    assert found["joint.in_proj_weight"].bias_name == "joint.in_proj_bias"
    assert found["graph.lin.weight"].kind == "Linear"
    assert found["graph.lin.weight"].bias_name == "graph.bias"  # the convolution's own
    assert found["attention.q_proj_weight"].bias is None


def test_patterns_match_parameters_and_modules() -> None:
    def names(*layers: str, exclude: tuple[str, ...] = ()) -> list[str]:
        return [weight.name for weight in prunable_weights(Everything(), layers, exclude)]

    assert names("conv") == ["conv.weight"]
    assert names("wave.*", "head") == ["wave.weight", "head.weight"]
    assert "head.weight" not in names("*", exclude=("head",))
    assert len(names("*", exclude=("*attention*", "joint*"))) == 4


def test_a_layer_that_is_the_model() -> None:
    assert [weight.name for weight in prunable_weights(nn.Linear(2, 3))] == ["weight"]


@pytest.mark.parametrize(
    ("model", "layers", "exclude", "message"),
    [
        (nn.BatchNorm1d(3), ("*",), (), "BatchNorm1d has no prunable weight"),
        (
            nn.Linear(2, 2),
            ("convs.*",),
            (),
            "no prunable weight matches layers pattern 'convs.*'; this model has: weight",
        ),
        (nn.Linear(2, 2), ("*",), ("weight",), "leave no weight to prune"),
        (nn.Sequential(pyg.Linear(-1, 2)), ("*",), (), "0.weight has no shape yet; run the model once"),
    ],
)
def test_refusals_name_the_cause(
    model: nn.Module, layers: tuple[str, ...], exclude: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        prunable_weights(model, layers, exclude)
    assert message in str(caught.value)


def test_the_last_called_layer_is_found_by_running() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer(self.first(x)).relu()

    model = Backwards()
    assert last_called(model, (torch.ones(1, 3),), prunable_weights(model)) == "answer"
    assert not model.answer._forward_hooks
    assert model.training
