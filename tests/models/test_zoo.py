"""The zoo: every name builds, remembers itself, fits its task, and refuses what it does not know."""

import copy
import json
import math

import pytest
import torch

from gossamer import models
from gossamer.errors import ModelError, SettingError
from gossamer.models.graph import Readout
from gossamer.train import Training
from tests.nn.graphs import NODES, random_edges, random_features

GRAPH = ["appnp", "fnn", "gat", "gcn", "gin", "mlp", "sage"]
VISION = ["lenet", "mixer", "resnet20", "resnet56", "swin", "vgg16", "vit"]


class Nodes:
    """Stands in for a task on the nodes of one graph."""

    def dimensions(self):
        return {"in_features": 6, "out_features": 3}

    def example(self):
        return random_features(6), random_edges()


class Graphs(Nodes):
    """Stands in for a task on whole graphs: three of them, side by side."""

    def example(self):
        return *super().example(), torch.arange(NODES) * 3 // NODES


class Images:
    """Stands in for a task on images."""

    def __init__(self, size=8):
        self.size = size

    def dimensions(self):
        return {"in_channels": 1, "classes": 5, "image_size": self.size}

    def example(self):
        return (torch.randn(2, 1, self.size, self.size),)


class Silent(Nodes):
    """Stands in for a user's task that does not say its sizes."""

    def dimensions(self):
        return {}


def test_the_names_are_these():
    assert models.names() == sorted([*GRAPH, *VISION, "fnn-node"])


@pytest.mark.parametrize("name", GRAPH + VISION)
def test_a_network_for_a_task_takes_its_example_and_trains(name):
    task = Images() if name in VISION else Nodes()
    model = models.for_task(name, task)
    out = model(*task.example())
    assert out.shape == ((2, 5) if name in VISION else (NODES, 3))
    out.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", GRAPH)
def test_a_task_on_whole_graphs_gets_one_row_a_graph(name):
    model = models.for_task(name, Graphs(), hidden=8)
    assert isinstance(model, Readout)
    assert model(*Graphs().example()).shape == (3, 3)


@pytest.mark.parametrize("task", [Nodes(), Graphs(), Images()], ids=["nodes", "graphs", "images"])
def test_a_network_can_be_rebuilt_from_what_it_remembers(task):
    for name in VISION if isinstance(task, Images) else GRAPH:
        model = models.for_task(name, task).eval()
        record = json.loads(json.dumps(copy.deepcopy(model).zoo))
        again = models.build(record["name"], **record["arguments"]).eval()
        assert again.zoo == model.zoo
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(*(inputs := task.example())), model(*inputs))


def test_overrides_win_over_defaults_and_are_remembered():
    model = models.for_task("gcn", Nodes(), hidden=5, layers=3)
    assert model.zoo["arguments"] | {"dropout": 0} == {
        "in_features": 6,
        "hidden": 5,
        "out_features": 3,
        "layers": 3,
        "dropout": 0,
    }
    assert [conv.linear.weight.shape for conv in model.convs] == [(5, 6), (5, 5), (3, 5)]


@pytest.mark.parametrize("name", GRAPH + VISION)
def test_the_default_training_is_a_training(name):
    training = Training.from_json(models.default_training(name))
    assert training.epochs > 0


def test_the_default_training_is_the_callers_to_change():
    models.default_training("gcn")["optimizer"]["learning_rate"] = math.inf
    assert models.default_training("gcn")["optimizer"]["learning_rate"] == 0.01


@pytest.mark.parametrize("call", [models.build, models.default_training])
def test_an_unknown_name_is_answered_with_the_nearest(call):
    with pytest.raises(SettingError, match="unknown model 'gcnn'; did you mean 'gcn'"):
        call("gcnn")


def test_an_unknown_argument_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match="unknown argument of gcn 'hiden'; did you mean 'hidden'"):
        models.for_task("gcn", Nodes(), hiden=3)
    with pytest.raises(SettingError, match="argument of lenet 'per_graph'"):
        models.build("lenet", in_channels=1, classes=2, per_graph=True)


def test_missing_widths_are_named():
    with pytest.raises(ModelError, match="gcn needs in_features and out_features"):
        models.build("gcn")
    with pytest.raises(ModelError, match="gcn needs in_features and out_features"):
        models.for_task("gcn", Silent())
    assert models.for_task("gcn", Silent(), in_features=6, out_features=2)(*Nodes().example()).shape[1] == 2


def test_a_network_for_other_data_is_refused_and_fitting_ones_are_named():
    with pytest.raises(ModelError, match="gcn is a network on graphs, but the task is on images; use lenet"):
        models.for_task("gcn", Images())
    with pytest.raises(ModelError, match="vit is a network on images, but the task is on graphs; use appnp"):
        models.for_task("vit", Nodes())
