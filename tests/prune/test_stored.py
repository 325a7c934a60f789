"""Training of stored nonzeros against the masked backend, which is tested against brute force."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.compression import compress
from gossamer.compression.registry import method
from gossamer.errors import ModelError, SettingError
from gossamer.models import build
from gossamer.nn.sparse import Sparse
from gossamer.prune import AtRandom, ByMomentum, DropAndGrow, SignedRank, SIMDBlocks
from gossamer.train import SGD, Adam, Training
from tests.battery.networks import NETWORKS
from tests.prune.toy import Regression, network, sgd, train

NETWORK = {one.name: one for one in NETWORKS}


def both(name: str, training: Training, chosen: DropAndGrow) -> list[nn.Module]:
    found = []
    for backend in ("masked", "stored"):
        torch.manual_seed(0)
        model, task = NETWORK[name].model(), NETWORK[name].task()
        result = compress(
            model,
            task,
            chosen.replace(backend=backend),
            training=training,
            seed=2,
            latency=False,
            accelerate=False,
            progress=False,
        )
        found.append(result.model)
    return found


@pytest.mark.parametrize("name", ["mlp", "cnn", "gcn"])
@pytest.mark.parametrize("optimizer", [SGD(learning_rate=0.05), Adam()], ids=["sgd", "adam"])
def test_growing_by_gradient_ends_in_the_masked_network(name: str, optimizer: Any) -> None:
    training = Training(epochs=3, optimizer=optimizer, patience=None, keep_best=False)
    masked, stored = both(name, training, DropAndGrow(sparsity=0.8, every=2))
    assert [type(module) for module in masked.modules()] == [type(module) for module in stored.modules()]
    for (key, one), other in zip(masked.state_dict().items(), stored.state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
        assert torch.equal(one == 0, other == 0), key


def test_blocks_end_in_the_masked_network() -> None:
    training = Training(epochs=3, patience=None, keep_best=False)
    chosen = DropAndGrow(sparsity=0.7, every=2, granularity=SIMDBlocks(), layers=("1",))
    masked, stored = both("mlp", training, chosen)
    torch.testing.assert_close(stored[1].weight, masked[1].weight, rtol=1e-3, atol=1e-5)


def test_nothing_dense_is_trained_and_momentum_follows_the_pattern() -> None:
    task = Regression()
    run = DropAndGrow(sparsity=0.9, every=2, grow=AtRandom(), backend="stored").start(network(), task, epochs=4)
    layers = [layer for layer in run.model if isinstance(layer, Sparse)]
    assert len(layers) == 2
    numbers = sum(parameter.numel() for parameter in run.model.parameters())
    assert numbers == sum(run.target_nonzeros().values()) + 20 + 4
    patterns = [layer.matrix.places for layer in layers]
    optimizer = sgd(run.model)
    model = train(run, task, optimizer)
    for layer in layers:
        assert optimizer.state[layer.matrix.values]["momentum_buffer"].shape == layer.matrix.values.shape
    assert any(not torch.equal(before, layer.matrix.places) for before, layer in zip(patterns, layers, strict=True))
    assert [type(module) for module in model] == [nn.Linear, nn.ReLU, nn.Linear]
    assert int((model[0].weight != 0).sum()) <= run.target_nonzeros()["0.weight"]


def test_the_best_epoch_comes_back_with_its_own_pattern(tmp_path: Path) -> None:
    one = NETWORK["mlp"]
    training = Training(epochs=5, patience=None, keep_best=True, checkpoint_minutes=0.0)
    chosen = DropAndGrow(sparsity=0.8, every=1, backend="stored")
    torch.manual_seed(0)
    model = one.model()
    options: dict[str, Any] = {"training": training, "latency": False, "accelerate": False, "progress": False}
    straight = compress(copy.deepcopy(model), one.task(), chosen, **options)

    class Killed(Exception):  # noqa: N818  a kill is not an error
        pass

    task = one.task()
    plain, steps = task.loss, 0

    def loss(network: nn.Module, batch: Any) -> Tensor:
        nonlocal steps
        steps += 1
        if steps > 8:
            raise Killed
        return plain(network, batch)

    task.loss = loss  # type: ignore[method-assign]
    with pytest.raises(Killed):
        compress(copy.deepcopy(model), task, chosen, checkpoint=tmp_path, **options)
    resumed = compress(copy.deepcopy(model), one.task(), chosen, checkpoint=tmp_path, **options)
    for key, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_a_layer_with_two_names_stays_one() -> None:
    layer = nn.Linear(12, 12)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(12, 4))
    run = DropAndGrow(sparsity=0.5, every=1, backend="stored").start(model, Regression(), epochs=1)
    assert run.model[0] is run.model[2]
    model = train(run, Regression())
    assert model[0] is model[2] is layer
    assert layer.weight.shape == (12, 12)


def test_what_cannot_be_stored_is_refused_by_name() -> None:
    transformer = NETWORK["transformer"]
    with pytest.raises(ModelError, match=r"in_proj_weight belongs to a MultiheadAttention"):
        DropAndGrow(backend="stored").start(transformer.model(), transformer.task(), epochs=1)
    with pytest.raises(ModelError, match="the whole network"):
        DropAndGrow(backend="stored").start(nn.Linear(12, 4), Regression(), epochs=1)
    with pytest.raises(SettingError, match="drops by 'magnitude'"):
        DropAndGrow(drop=SignedRank(), backend="stored")
    with pytest.raises(SettingError, match="not 'by-momentum'"):
        DropAndGrow(grow=ByMomentum(), backend="stored")
    with pytest.raises(SettingError, match="rows is 8"):
        DropAndGrow(granularity=SIMDBlocks(rows=8), backend="stored")


def test_static_training_moves_nothing_and_says_nothing() -> None:
    task = Regression()
    run = method("static-erk", sparsity=0.8).start(network(), task, epochs=5)
    before = run.masks
    model = train(run, task)
    assert run.notes() == ()
    for name, mask in run.masks.items():
        assert torch.equal(mask, before[name])
        assert not dict(model.named_parameters())[name][~mask].any()


def test_the_zoo_can_be_stored() -> None:
    task = NETWORK["gcn"].task()
    run = DropAndGrow(sparsity=0.9, backend="stored").start(
        build("gcn", in_features=32, hidden=32, out_features=3), task, epochs=0
    )
    assert task.loss(run.model, next(task.batches("train"))).isfinite()
