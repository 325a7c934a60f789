"""Whatever is chosen, the network computes the same; and what is chosen follows from the times.

Times are made up here, so that the choices can be known beforehand; two tests use the clock and then only ask
for what must hold whatever it says.
"""

import importlib
import json

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from gossamer import deploy
from gossamer.deploy import accelerate, changes, graph_layers, timed
from gossamer.errors import SettingError
from gossamer.graph import CSR
from gossamer.kernels import native
from gossamer.nn import CompactLinear, Linear, SparseLinear
from gossamer.nn.packed import Packed
from gossamer.nn.pyg import AdoptedGCN
from gossamer.timing import Timing

MODULE = importlib.import_module("gossamer.deploy.accelerate")  # the package shows the function by this name
needs_kernels = pytest.mark.skipif(not native.available(), reason="csr and blocks are tried with native kernels")


def masked(layer: nn.Module, density: float = 0.2, seed: int = 0) -> nn.Module:
    """Zeros at random and, so that every kernel is a candidate, no second half of the inputs."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.mul_(torch.rand(layer.weight.shape, generator=rng) < density)
        layer.weight[:, layer.weight.shape[1] // 2 :] = 0.0
    return layer


def network() -> nn.Module:
    return nn.Sequential(masked(nn.Linear(24, 32)), nn.ReLU(), nn.Linear(32, 4))


X = torch.randn(6, 24, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def clock(monkeypatch):
    """Makes every timing come from this table, in ms."""
    table = dict.fromkeys(("csr", "blocks", "blocks8", "compact", "graph", "maxima"), 20.0) | {
        "dense": 10.0,
        "fast": 5.0,
    }
    asked = []

    def interleaved(calls, *, repeats, seconds):
        asked.append(list(calls))
        for call in calls.values():
            call()
        return {name: Timing(table[name] if isinstance(table[name], tuple) else (table[name],) * 25) for name in calls}

    monkeypatch.setattr(MODULE, "interleaved", interleaved)
    monkeypatch.setattr(timed, "interleaved", interleaved)
    monkeypatch.setattr(graph_layers, "interleaved", interleaved)
    table["asked"] = asked
    return table


def outputs_agree(model: nn.Module, result: deploy.Accelerated, *example) -> None:
    with torch.no_grad():
        torch.testing.assert_close(result.model(*example), model.eval()(*example), rtol=1e-4, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("kernel", ["csr", "blocks", "compact"])
def test_the_fastest_kernel_is_taken(clock, kernel):
    clock[kernel] = 2.0
    model = network()
    result = accelerate(model, (X,))
    assert result.changes == (deploy.SwapLayer(layer="0", kernel=kernel),)
    assert result.model[0].kernel == kernel
    first, last = result.choices
    assert (first.layer, first.kernel, first.dense_ms, first.kernel_ms) == ("0", kernel, 10.0, 2.0)
    assert first.candidates == {"csr": 20.0, "blocks": 20.0, "compact": 20.0} | {kernel: 2.0}
    assert first.reason == f"{kernel} chosen: {first.sparsity:.0%} zeros, 5.00x faster"
    assert (last.kernel, last.dense_ms) == ("dense", None)
    assert last.reason == "dense kept: 0% zeros, too few for any kernel"
    assert result.reason == "1 of 2 layers swapped, the whole network is 2.00x faster"
    assert (result.before.median_ms, result.after.median_ms) == (10.0, 5.0)
    outputs_agree(model, result, X)


@needs_kernels
def test_slower_kernels_leave_the_layer_dense(clock):
    clock["csr"] = 13.0
    result = accelerate(network(), (X,))
    assert result.changes == ()
    assert (result.before, result.after) == (None, None)
    assert not any(isinstance(module, Packed) for module in result.model.modules())
    assert "zeros, csr 1.30x slower" in result.choices[0].reason


@needs_kernels
@pytest.mark.parametrize(("csr", "dense"), [(9.7, 10.0), (9.0, (8.0,) + (10.0,) * 24)])
def test_a_gain_below_the_margin_or_the_noise_is_no_gain(clock, csr, dense):
    clock.update(csr=csr, dense=dense)
    result = accelerate(network(), (X,))
    assert result.changes == ()
    assert "within noise or the margin of 1.05x" in result.choices[0].reason


@needs_kernels
def test_a_busy_machine_does_not_hide_a_gain(clock):
    clock.update(csr=(2.0,) * 9 + (500.0,) * 16, dense=(10.0,) * 13 + (400.0,) * 12)
    assert accelerate(network(), (X,)).choices[0].kernel == "csr"


@needs_kernels
def test_the_margin_is_the_callers(clock):
    clock["csr"] = 9.7
    assert accelerate(network(), (X,), minimum_gain=1.0).changes
    with pytest.raises(SettingError, match="at least 1"):
        accelerate(network(), (X,), minimum_gain=0.9)


@needs_kernels
def test_a_network_that_is_not_faster_as_a_whole_is_left_dense(clock):
    clock.update(csr=2.0, fast=11.0)
    model = network()
    result = accelerate(model, (X,))
    assert result.changes == ()
    assert not changes.found(result.model)
    assert {choice.kernel for choice in result.choices} == {"dense"}
    assert result.choices[0].reason == "dense kept: the whole network with the kernels chosen is 1.10x slower"
    assert result.choices[0].kernel_ms == 2.0
    assert result.after.median_ms == 11.0
    outputs_agree(model, result, X)


def wrong(monkeypatch) -> None:
    """Makes every packed layer compute something slightly else."""
    right = changes.packed

    def packed(layer, kernel):
        made = right(layer, kernel)
        with torch.no_grad():
            made.bias += 0.01
        return made

    monkeypatch.setattr(changes, "packed", packed)


def test_a_kernel_that_computes_something_else_is_not_even_timed(clock, monkeypatch):
    wrong(monkeypatch)
    clock.update(csr=2.0, compact=2.0)
    result = accelerate(network(), (X,))
    assert result.changes == ()
    assert clock["asked"] == []
    assert "outputs differ by more than rounding" in result.choices[0].reason


def test_a_network_that_computes_something_else_is_left_dense(clock, monkeypatch):
    wrong(monkeypatch)
    monkeypatch.setattr(MODULE, "_agrees", lambda *_: True)
    clock.update(csr=2.0, compact=2.0)
    model = network()
    result = accelerate(model, (X,))
    assert result.changes == ()
    assert result.reason == "dense kept: the outputs differ by more than rounding"
    outputs_agree(model, result, X)


class Holder(nn.Module):
    """Calls a layer in a way of its own."""

    def __init__(self, layer, call=lambda layer, x: layer(x)):
        super().__init__()
        self.layer = layer
        self.call = call

    def forward(self, x):
        return self.call(self.layer, x)


def hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, args, out: out)
    return layer


def tied() -> nn.Module:
    model = nn.Sequential(masked(nn.Linear(24, 24)), nn.Linear(24, 24))
    model[1].weight = model[0].weight
    return model


class Doubled(nn.Linear):
    """Computes something else than a linear layer."""

    def forward(self, x):
        return 2 * super().forward(x)


SPARSE_X = torch.zeros(6, 24)
SPARSE_X[0, 0] = 1.0


@pytest.mark.parametrize(
    ("model", "x", "reason"),
    [
        (Holder(parametrizations.orthogonal(nn.Linear(24, 24))), X, "parametrised"),
        (Holder(masked(nn.Linear(24, 24)), lambda layer, x: x @ layer.weight), X, "not called"),
        (Holder(masked(nn.Linear(24, 24)), lambda layer, x: layer(input=x)), X, "called with something else"),
        (Holder(masked(Linear(24, 24))), CSR.from_dense(SPARSE_X), "its input is sparse"),
        (Holder(hooked(masked(nn.Linear(24, 24)))), X, "hooks"),
        (tied(), X, "shares its weight"),
        (Holder(nn.Linear(24, 24)), X, "too few"),
    ],
)
def test_layers_that_cannot_be_swapped_say_why(clock, model, x, reason):
    clock.update(csr=2.0, compact=2.0, blocks=2.0)
    result = accelerate(model, (x,))
    assert result.changes == ()
    assert reason in result.choices[0].reason
    outputs_agree(model, result, x)


def test_depthwise_convolutions_have_no_blocks(clock):
    clock["csr"] = 2.0
    model = nn.Conv2d(8, 8, 3, groups=4)
    with torch.no_grad():
        model.weight[::2] = 0.0
    result = accelerate(model, (torch.randn(1, 8, 5, 5),))
    assert result.choices[0].kernel == "csr"
    assert result.choices[0].candidates.keys().isdisjoint({"blocks", "blocks8"})


def test_classes_that_compute_something_else_are_no_linear_layers(clock):
    assert accelerate(Holder(masked(Doubled(24, 24))), (X,)).choices == ()


def test_other_dtypes_get_the_compact_layer_only(clock):
    clock["compact"] = 2.0
    model = network().double()
    result = accelerate(model, (X.double(),))
    assert result.choices[0].candidates == {"compact": 2.0}
    outputs_agree(model, result, X.double())


def test_a_layer_that_is_called_twice_is_timed_on_both_inputs(clock, monkeypatch):
    clock["compact"] = 2.0
    shapes = []
    forward = CompactLinear.forward
    monkeypatch.setattr(CompactLinear, "forward", lambda self, x: shapes.append(x.shape) or forward(self, x))
    model = Holder(masked(nn.Linear(24, 24)), lambda layer, x: layer(layer(x)[:3]))
    result = accelerate(model, (X,))
    assert result.choices[0].kernel == "compact"
    assert {tuple(shape) for shape in shapes} == {(6, 24), (3, 24)}
    outputs_agree(model, result, X)


def test_convolutions_are_accelerated(clock):
    clock["compact"] = 2.0
    model = nn.Sequential(masked(nn.Conv2d(8, 16, 3, padding=1)), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))
    x = torch.randn(2, 8, 5, 5)
    result = accelerate(model, (x,))
    assert result.model[0].kernel == "compact"
    outputs_agree(model, result, x)


def test_layers_inside_pyg_models_are_accelerated(clock):
    clock["compact"] = 2.0
    model = SAGEConv(24, 8)
    masked(model.lin_l)
    masked(model.lin_r)
    edge_index = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    result = accelerate(model, (X, edge_index))
    assert {change.layer for change in result.changes} == {"lin_l", "lin_r"}
    outputs_agree(model, result, X, edge_index)


@needs_kernels
def test_the_changes_lead_from_the_untouched_class_to_the_network(clock, tmp_path):
    clock["csr"] = 2.0
    model = network()
    result = accelerate(model, (X,))
    path = deploy.save(tmp_path / "m", result.model, plan=result.changes)
    back = deploy.load(path, network())
    assert isinstance(back[0], SparseLinear)
    assert back[0].kernel == "csr"
    with torch.no_grad():
        assert torch.equal(back(X), result.model(X))


def test_choices_go_to_json():
    result = accelerate(network(), (X,))
    for choice in result.choices:
        value = json.loads(json.dumps(choice.to_json(), allow_nan=False))
        assert set(value) == {
            *("name", "kind", "shape", "parameters", "nonzeros", "sparsity"),
            *("kernel", "reason", "dense_ms", "kernel_ms", "candidates"),
        }
        assert value["sparsity"] == 1 - value["nonzeros"] / value["parameters"]


def test_by_the_real_clock_the_network_is_the_same_and_the_original_untouched():
    model = nn.Sequential(masked(nn.Linear(256, 512), 0.05), nn.ReLU(), masked(nn.Linear(512, 64), 0.05))
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = torch.randn(32, 256)
    threads = torch.get_num_threads()
    result = accelerate(model, (x,), threads=1)
    assert torch.get_num_threads() == threads
    assert model.training
    assert not result.model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(torch.equal(before[key], value) for key, value in result.model.state_dict().items())
    assert len(result.changes) == sum(choice.kernel != "dense" for choice in result.choices)
    assert all(choice.kernel_ms < choice.dense_ms for choice in result.choices if choice.kernel != "dense")
    outputs_agree(model, result, x)


class TwoLayers(nn.Module):
    """A user's own network of PyG's layers, one of which has edge features."""

    def __init__(self):
        super().__init__()
        self.first = GCNConv(24, 8)
        self.second = GATConv(8, 4, edge_dim=2)
        self.unused = SAGEConv(8, 8)

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 3]])


def test_graph_layers_are_swapped_where_they_are_followed_and_faster(clock):
    clock["graph"] = 2.0
    model = TwoLayers()
    result = accelerate(model, (X, EDGES))
    assert result.changes == (deploy.SwapGraphLayer(layer="first"),)
    assert isinstance(result.model.first, AdoptedGCN)
    choices = {choice.layer: choice for choice in result.choices}
    assert (choices["first"].kernel, choices["first"].reason) == ("graph", "graph chosen: 5.00x faster")
    assert "its setting edge_dim=2 is not supported" in choices["second"].reason
    assert choices["unused"].reason == "left as it is: it is not called on the example"
    outputs_agree(model, result, X, EDGES)


def test_a_slower_graph_layer_is_left_as_it_is(clock):
    clock["graph"] = 13.0
    result = accelerate(TwoLayers(), (X, EDGES))
    assert result.changes == ()
    assert next(c for c in result.choices if c.layer == "first").reason == "left as it is: graph 1.30x slower"


def test_an_input_that_a_stand_in_does_not_take_leaves_the_layer(clock):
    clock["graph"] = 2.0

    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = SAGEConv(24, 8)

        def forward(self, x, edge_index):
            return self.conv((x, x), edge_index)

    result = accelerate(Pairs(), (X, EDGES))
    assert next(c for c in result.choices if c.layer == "conv").kernel == "dense"


def test_swapped_graph_layers_are_saved_and_loaded(clock, tmp_path):
    clock["graph"], clock["compact"] = 2.0, 2.0
    model = TwoLayers()
    masked(model.first.lin)
    result = accelerate(model, (X, EDGES))
    assert {type(change) for change in result.changes} == {deploy.SwapLayer, deploy.SwapGraphLayer}
    for plan in (result.changes, None):  # the plan given, and the one that is found
        deploy.save(tmp_path / "model.safetensors", result.model, plan=plan)
        loaded = deploy.load(tmp_path / "model.safetensors", TwoLayers())
        assert isinstance(loaded.first, AdoptedGCN)
        assert isinstance(loaded.first.lin, Packed)
        with torch.no_grad():
            torch.testing.assert_close(loaded(X, EDGES), result.model(X, EDGES))
