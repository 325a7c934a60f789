"""Tied training is training of the shared numbers, and what comes out is as small as asked for."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import gossamer
from gossamer.compression import compress, method
from gossamer.cost import measure
from gossamer.errors import ModelError
from gossamer.nn.sharing import Circulant, Hashed, Product, SharedConv2d, SharedLinear, shared_like
from gossamer.share.product import size
from gossamer.share.sharing import TiedTraining
from gossamer.storage import encode
from gossamer.train import SGD, Adam, Training
from tests.battery.networks import NETWORKS

QUIET = {"latency": False, "accelerate": False, "progress": False}
MLP, CNN = NETWORKS[0], NETWORKS[1]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("optimizer", [SGD(learning_rate=0.01), Adam(learning_rate=0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize(("name", "setting"), [("hashed", 0.8), ("block-circulant", 0.75)])
def test_tied_training_is_training_of_the_layer_itself(name, setting, optimizer):
    """The plain layer whose weights are tied moves as a layer of shared weights does by itself."""
    task = MLP.task()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    chosen = method(name, sparsity=setting)
    training = Training(epochs=3, optimizer=optimizer.replace(weight_decay=0.01), patience=None, keep_best=False)
    tied = compress(model, task, chosen, training=training, **QUIET).model

    itself = copy.deepcopy(model)
    for place, at in enumerate((1, 3)):
        form = chosen.form(tuple(itself[at].weight.shape), place)
        layer = shared_like(itself[at], form)
        tie = layer.weights.tie()
        layer.weights.take(tie.spread(form.begin(itself[at].weight.detach(), tie)), None)
        itself[at] = layer
    itself = compress(itself, task, method("dense"), training=training, **QUIET).model
    for at in (1, 3):
        torch.testing.assert_close(tied[at].weight, itself[at].weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(tied[at].bias, itself[at].bias, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_a_cluster_is_the_sum_of_its_weights():
    task, model = MLP.task(), MLP.model()
    run = method("codebook", at=0.0, sparsity=0.95).start(model, task, epochs=1)
    assert isinstance(run, TiedTraining)
    batch = next(task.batches("train"))
    torch.manual_seed(1)
    task.loss(model, batch).backward()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    run.after_backward()
    tie = run.ties["1.weight"]
    for group in range(tie.groups):
        members = tie.group == group
        if bool(members.any()):
            wanted = before["1.weight"][members].sum()
            torch.testing.assert_close(model[1].weight.grad[members], wanted.expand(int(members.sum())))
    assert torch.equal(model[1].bias.grad, before["1.bias"])


@pytest.mark.parametrize(("sparsity", "bits"), [(0.0, 8), (0.75, 8), (0.875, 4), (0.9, 3), (0.99, 1)])
def test_a_codebook_has_as_many_numbers_as_its_bits_allow(sparsity, bits):
    result = compress(
        MLP.model(), MLP.task(), method("codebook", sparsity=sparsity), training=Training(epochs=2), **QUIET
    )
    values = result.model[1].weight.unique()
    assert 1 < len(values) <= 2**bits
    stored = encode(result.model[1].weight)
    assert stored.bytes <= 64 * 48 * bits / 8 + 2**bits * 4 + 64


def test_linear_quantisation_trains_its_steps_and_takes_its_bits():
    result = compress(
        MLP.model(), MLP.task(), method("linear-quantization", sparsity=0.9), training=Training(epochs=4), **QUIET
    )
    values = result.model[1].weight.unique()
    assert len(values) == 7  # three bits: -3 to 3
    torch.testing.assert_close(values / values.max() * 3, torch.arange(-3.0, 4.0))
    assert encode(result.model[1].weight).bytes <= 64 * 48 * 3 / 8 + 7 * 4 + 64


def test_pruned_weights_stay_zero_in_a_codebook_and_the_file_is_smaller_still(tmp_path):
    task = MLP.task()
    training = Training(epochs=4, patience=None)
    model = MLP.model()
    pruned = compress(model, task, method("magnitude", sparsity=0.8), training=training, **QUIET)
    both = compress(
        model,
        task,
        [method("magnitude", sparsity=0.8), method("codebook", sparsity=0.9, at=0.0)],
        training=training,
        **QUIET,
    )
    for at in (1, 4):
        assert torch.equal(both.model[at].weight == 0, pruned.model[at].weight == 0)
        assert len(both.model[at].weight.unique()) <= 8 + 1
    assert both.cost.bytes < 0.6 * pruned.cost.bytes
    both.save(tmp_path / "both.gossamer")
    again = gossamer.load(tmp_path / "both.gossamer", MLP.model())
    assert torch.equal(again[1].weight, both.model[1].weight)


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_bytes_of_product_quantisation_are_those_that_were_planned(sparsity):
    chosen = method("product-quantization", sparsity=sparsity)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 4)
    )
    small = compress(model, MLP.task(), chosen, training=Training(epochs=2), **QUIET).model
    for layer, dense in ((small[1], (256, 64)), (small[3], (128, 256))):
        form = layer.form
        assert isinstance(form, Product)
        taken = sum(encode(value).bytes for value in layer.weights.state_dict().values())
        assert taken <= size(dense, form.length, form.count) / 8 + 64
        assert size(dense, form.length, form.count) <= (1 - sparsity) * 32 * math.prod(dense)
        assert size(dense, form.length, 2 * form.count) > (1 - sparsity) * 32 * math.prod(dense)


def test_hashed_layers_keep_the_share_of_their_weights_that_was_asked_for():
    result = compress(CNN.model(), CNN.task(), method("hashed", sparsity=0.9), training=Training(epochs=1), **QUIET)
    assert isinstance(result.model[0], SharedConv2d)
    assert isinstance(result.model[6], SharedLinear)
    for at, weights in ((0, 16 * 9), (3, 32 * 16 * 9), (6, 32 * 9 * 4)):
        form = result.model[at].form
        assert isinstance(form, Hashed)
        assert form.count == int(0.1 * weights)
        assert result.model[at].weights.values.numel() == form.count


def test_circulant_layers_are_one_matrix_and_blocks_follow_the_sparsity():
    one = compress(MLP.model(), MLP.task(), method("circulant"), training=Training(epochs=1), **QUIET)
    assert one.model[1].form == Circulant(block=64, flip=True, seed=0)
    assert one.model[1].weights.values.numel() == 64
    blocks = compress(
        MLP.model(), MLP.task(), method("block-circulant", sparsity=0.9), training=Training(epochs=1), **QUIET
    )
    assert blocks.model[1].form.block == 10
    assert blocks.model[1].weights.values.numel() == 5 * 7 * 10


@pytest.mark.parametrize(("name", "share"), [("crelu", 1 / 2), ("multi-bias", 1 / 4), ("rotated", 1 / 4)])
def test_transferred_filters_have_a_share_of_the_numbers(name, share):
    task = CNN.task()
    result = compress(CNN.model(), task, method(name), training=Training(epochs=2), **QUIET)
    for at, weights in ((0, 16 * 9), (3, 32 * 16 * 9)):
        assert result.model[at].weights.values.numel() == share * weights
    plain = measure(CNN.model(), task.example(), latency=False)
    assert result.cost.parameters == plain.parameters - round((1 - share) * (16 * 9 + 32 * 16 * 9))


def test_a_layer_that_shares_its_weight_with_another_is_left_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 4))
    model[2].weight = model[1].weight
    result = compress(model, MLP.task(), method("hashed"), training=Training(epochs=1), **QUIET)
    assert [type(layer) for layer in result.model[1:]] == [nn.Linear, nn.Linear, SharedLinear]
    assert result.model[1].weight is result.model[2].weight


def test_convolutions_over_a_line_are_left_alone_and_named():
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 16)), nn.Conv1d(4, 4, 3), nn.Flatten(), nn.Linear(56, 4))
    result = compress(model, MLP.task(), method("hashed"), training=Training(epochs=1), **QUIET)
    assert [type(layer) for layer in result.model][2:] == [nn.Conv1d, nn.Flatten, SharedLinear]
    assert any("2.weight" in note for note in result.notes)


def test_a_network_without_a_layer_of_the_kind_is_refused():
    with pytest.raises(ModelError, match=r"no layer of this model.*\(48, 64\)"):
        method("rotated").start(MLP.model(), MLP.task(), epochs=1)


def test_the_knob_finds_a_budget_of_bytes():
    model, task = MLP.model(), MLP.task()
    for name in ("codebook", "linear-quantization", "hashed", "block-circulant", "product-quantization"):
        budget = gossamer.Budget.parse("bytes<=4k")
        result = compress(model, task, method(name), training=Training(epochs=1), budget=budget, **QUIET)
        assert result.met_budget, name
        assert result.cost.bytes <= 4000
    assert np.isfinite(result.cost.bytes)
