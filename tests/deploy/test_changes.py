"""Changes are replayed on the right layer, wherever it is."""

import pytest
import torch
from torch import nn

from gossamer.deploy import SwapLayer, changes
from gossamer.deploy.changes import Change
from gossamer.errors import ModelError, SettingError
from gossamer.nn import SparseLinear


class Twice(nn.Module):
    """One layer under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = nn.ModuleList([self.first])

    def forward(self, x):
        return self.again[0](self.first(x))


def test_a_layer_is_replaced_under_all_its_names():
    model = Twice()
    before = model(torch.eye(3))
    swapped = SwapLayer(layer="first", kernel="csr").apply(model)
    assert swapped is model
    assert isinstance(model.first, SparseLinear)
    assert model.first.kernel == "csr"
    assert model.again[0] is model.first
    torch.testing.assert_close(model(torch.eye(3)), before)
    assert changes.found(model) == (SwapLayer(layer="first", kernel="csr"),)


def test_the_model_itself_may_be_the_layer():
    model = nn.Linear(3, 3)
    swapped = changes.apply([SwapLayer(layer="", kernel="compact")], model)
    assert changes.found(swapped) == (SwapLayer(layer="", kernel="compact"),)


def test_changes_go_to_json_and_back_as_a_family():
    change = SwapLayer(layer="a.b", kernel="blocks")
    assert Change.from_json(change.to_json()) == change
    with pytest.raises(SettingError, match="unknown change"):
        Change.from_json({"name": "swap-layr", "layer": "", "kernel": ""})


def test_a_layer_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(ModelError, match=r"no layer 'frist'; did you mean 'first'"):
        SwapLayer(layer="frist", kernel="csr").apply(Twice())


def test_kernels_that_do_not_serve_the_layer_are_refused():
    with pytest.raises(ModelError, match="known: blocks, blocks8, compact, csr"):
        SwapLayer(layer="first", kernel="dense").apply(Twice())
    with pytest.raises(ModelError, match="ReLU"):
        SwapLayer(layer="", kernel="csr").apply(nn.ReLU())
