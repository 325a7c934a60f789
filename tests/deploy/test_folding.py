"""A batch normalisation goes into the layer before it where nothing else reads what lies between."""

import copy
import importlib

import pytest
import torch
from torch import nn

from gossamer import deploy
from gossamer.deploy import FoldNorm, SwapPool, accelerate, changes, timed
from gossamer.deploy.folding import folds
from gossamer.errors import ModelError
from gossamer.models import build
from gossamer.nn.pooling import MaximaPool2d
from gossamer.timing import Timing

MODULE = importlib.import_module("gossamer.deploy.accelerate")


def lived(model: nn.Module) -> nn.Module:
    """Gives every normalisation statistics and an affine map of its own, as training would."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.2, 3.0)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.eval()


def found(model: nn.Module, *example) -> tuple[FoldNorm, ...]:
    with torch.no_grad():
        return folds(model, MODULE._layers(model), example, MODULE._shared(model))


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)), torch.randn(2, 3, 6, 6)),
        (nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6, affine=False)), torch.randn(2, 4, 6, 6)),
        (nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, eps=0.1)), torch.randn(7, 4)),
    ],
    ids=["convolution", "groups", "linear"],
)
def test_a_folded_layer_computes_what_the_two_did(model, x):
    lived(model)
    assert found(model, x) == (FoldNorm(layer="0", norm="1"),)
    before = model(x)
    folded = FoldNorm(layer="0", norm="1").apply(copy.deepcopy(model))
    torch.testing.assert_close(folded(x), before, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in folded.modules())
    assert changes.found(folded) == (FoldNorm(layer="0", norm="1"),)


class Watched(nn.Module):
    """Reads what lies between a layer and its normalisation once more."""

    def __init__(self, more):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)
        self.more = more

    def forward(self, x):
        y = self.conv(x)
        return self.more(self, y, self.norm(y))


@pytest.mark.parametrize(
    ("more", "foldable"),
    [
        (lambda self, y, z: z.relu(), True),
        (lambda self, y, z: y + z, False),
        (lambda self, y, z: z + y.mean(), False),
        (lambda self, y, z: z + self.conv(y), False),
        (lambda self, y, z: self.norm(z), False),
    ],
    ids=["alone", "added", "method", "layer again", "norm again"],
)
def test_only_what_nothing_else_reads_is_folded(more, foldable):
    model = lived(Watched(more))
    x = torch.randn(2, 3, 4, 4)
    assert bool(found(model, x)) == foldable
    if foldable:
        model.conv.register_forward_hook(lambda *_: None)
        assert not found(model, x), "a hook would see other outputs"


@pytest.mark.parametrize(
    ("layer", "norm"),
    [
        (nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5, track_running_stats=False)),
        (nn.Conv2d(3, 5, 1), nn.BatchNorm2d(4)),
        (nn.Linear(3, 5), nn.BatchNorm2d(5)),
        (nn.ReLU(), nn.BatchNorm2d(5)),
    ],
)
def test_what_cannot_be_folded_is_refused(layer, norm):
    with pytest.raises(ModelError, match=r"cannot be folded.*expected a batch normalisation"):
        FoldNorm(layer="0", norm="1").apply(nn.Sequential(layer, norm))


def test_a_linear_layer_normalised_along_another_axis_is_left_alone():
    model = lived(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)))
    assert not found(model, torch.randn(2, 5, 4)), "here the normalisation runs over the middle axis"


def faster_by_the_clock(monkeypatch):
    def interleaved(calls, **_):
        return {name: Timing(((10.0 if name == "dense" else 1.0),) * 25) for name in calls}

    monkeypatch.setattr(MODULE, "interleaved", interleaved)
    monkeypatch.setattr(timed, "interleaved", interleaved)


def test_a_whole_residual_network_is_folded_saved_and_loaded(monkeypatch, tmp_path):
    faster_by_the_clock(monkeypatch)
    model = lived(build("resnet20", in_channels=1, classes=3))
    x = torch.randn(2, 1, 8, 8)
    result = accelerate(model, (x,))
    assert sum(isinstance(change, FoldNorm) for change in result.changes) == 19
    assert "19 normalisations folded" in result.reason
    with torch.no_grad():
        torch.testing.assert_close(result.model(x), model(x), rtol=1e-4, atol=1e-5)
    for plan in (result.changes, None):
        deploy.save(tmp_path / "model", result.model, plan=plan)
        loaded = deploy.load(tmp_path / "model")
        assert torch.equal(loaded(x), result.model(x))
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules()), "the model given is left alone"


def test_pools_are_swapped_where_faster(monkeypatch, tmp_path):
    faster_by_the_clock(monkeypatch)
    model = build("lenet", in_channels=1, classes=3, image_size=9)
    x = torch.randn(2, 1, 9, 9)
    result = accelerate(model, (x,))
    assert SwapPool(layer="pool") in result.changes
    assert isinstance(result.model.pool, MaximaPool2d)
    deploy.save(tmp_path / "model", result.model)
    assert torch.equal(deploy.load(tmp_path / "model")(x), model.eval()(x))
    with pytest.raises(ModelError, match="2x2 pixels"):
        SwapPool(layer="0").apply(nn.Sequential(nn.MaxPool2d(3, 2)))
