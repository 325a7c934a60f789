"""Pruned, packed and quantised networks are exported as they are, and what cannot be exported says why."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from gossamer import models
from gossamer.deploy import SwapLayer, changes, compare_exports, export
from gossamer.deploy.changes import replace_module
from gossamer.deploy.export import onnx, program
from gossamer.deploy.export.export import difference
from gossamer.deploy.export.layers import standard_layers
from gossamer.errors import ModelError, SettingError
from gossamer.graph import Graph
from gossamer.nn import (
    BinaryWeights,
    CodedConv2d,
    CodedLinear,
    FewBitsWeights,
    Int8Weights,
    Linear,
    SparseLinear,
    TernaryWeights,
)
from gossamer.nn.coded import CodedWeights
from gossamer.nn.sharing import Circulant, Form, Hashed, Product, Transferred, shared_like

CODES: dict[str, Callable[[Tensor], CodedWeights]] = {
    "int8": Int8Weights.from_dense,
    "int8, scale given": partial(Int8Weights.from_dense, input_scale=0.02),
    "ternary": partial(TernaryWeights.from_dense, threshold=0.3),
    "binary": BinaryWeights.from_dense,
    "few bits": partial(FewBitsWeights.from_dense, bits=4, groups=2),
}


class Both(nn.Module):
    """A convolution and a linear layer side by side."""

    def __init__(self, convolution: nn.Module, linear: nn.Module) -> None:
        super().__init__()
        self.convolution, self.linear = convolution, linear

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.convolution(x), self.linear(x.flatten(2))


def _dense() -> Both:
    torch.manual_seed(0)
    return Both(nn.Conv2d(6, 20, 3, stride=2, padding=1, dilation=(1, 2)), nn.Linear(63, 32))


def _bytes(path: Path) -> dict[str, np.dtype[np.generic]]:
    proto = onnx_library.load(path)
    return {value.name: numpy_helper.to_array(value).dtype for value in proto.graph.initializer}


@pytest.mark.parametrize("code", CODES)
def test_coded_layers(code: str, tmp_path: Path) -> None:
    dense = _dense()
    model = Both(
        CodedConv2d.from_dense(dense.convolution, CODES[code]), CodedLinear.from_dense(dense.linear, CODES[code])
    )
    x = torch.randn(3, 6, 7, 9)
    x[1] = 0.0  # an image without a scale
    x[0, :, 0, :4] = torch.tensor([1.5, -2.5, 0.5, -0.5]) * 0.02  # ties, which round to even
    for kind in ("onnx", "pt2"):
        found = export(model, (x,), tmp_path / f"net.{kind}")
        assert found.max_error is not None
        assert found.max_error <= 1e-5
    nodes = {node.op_type for node in onnx_library.load(tmp_path / "net.onnx").graph.node}
    assert ({"MatMulInteger", "ConvInteger"} <= nodes) == (code != "few bits")


def test_a_weight_takes_a_byte_whatever_its_bits(tmp_path: Path) -> None:
    layer = nn.Linear(128, 96)
    for code in CODES.values():
        found = export(CodedLinear.from_dense(layer, code), (torch.randn(2, 128),), tmp_path / "net.onnx")
        assert 96 * 128 < found.bytes < 2 * 96 * 128
        assert np.dtype(np.uint8) in _bytes(found.path).values()


def _int8(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    for layer in list(model.modules()):
        if isinstance(layer, nn.Conv2d):
            model = replace_module(model, layer, CodedConv2d.from_dense(layer, Int8Weights.from_dense))
        elif isinstance(layer, nn.Linear):
            model = replace_module(model, layer, CodedLinear.from_dense(layer, Int8Weights.from_dense))
    return model


def test_networks_of_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = Graph.from_edge_index(torch.randint(0, 12, (2, 30)), 12)
    cases = (
        (models.build("lenet", in_channels=1, classes=4, image_size=12), (torch.randn(2, 1, 12, 12),)),
        (models.build("sage", in_features=6, hidden=8, out_features=3), (torch.randn(12, 6), graph)),
    )
    for model, example in cases:
        for kind in ("onnx", "pt2"):
            found = export(_int8(model), example, tmp_path / f"net.{kind}")
            assert found.max_error is not None
            assert found.max_error <= 1e-4
            assert any("round" in note for note in found.notes)


@pytest.mark.parametrize("form", [Hashed(count=40), Product(length=3, count=4), Circulant(block=8, flip=True)], ids=str)
def test_layers_of_shared_weights(form: Form, tmp_path: Path) -> None:
    dense = _dense()
    of_convolution: Form = Transferred(by="negate") if isinstance(form, Circulant) else form
    model = Both(shared_like(dense.convolution, of_convolution), shared_like(dense.linear, form))
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    for kind in ("onnx", "pt2"):
        found = export(model, (torch.randn(3, 6, 7, 9),), tmp_path / f"net.{kind}")
        assert found.max_error is not None
        assert found.max_error <= 1e-4


@pytest.mark.parametrize("kernel", ["csr", "blocks", "compact"])
def test_pruned_and_packed_layers(kernel: str, tmp_path: Path) -> None:
    dense = _dense()
    for layer in (dense.convolution, dense.linear):
        layer.weight.data.mul_(torch.rand(layer.weight.shape) > 0.8)  # type: ignore[union-attr, operator]
        layer.weight.data[3:9] = 0.0  # type: ignore[union-attr, index]
        layer.weight.data[:, 2] = 0.0  # type: ignore[union-attr, index]
    swaps = [SwapLayer(layer=name, kernel=kernel) for name in ("convolution", "linear")]
    packed = changes.apply(swaps, copy.deepcopy(dense))
    x = torch.randn(2, 6, 7, 9)
    for model in (dense, packed):
        for kind in ("onnx", "pt2"):
            path = export(model, (x,), tmp_path / f"net.{kind}").path
            run = onnx.runner(str(path)) if kind == "onnx" else program.runner(path)
            assert difference(run((x,)), dense(x)) <= 1e-5
    weights = [numpy_helper.to_array(value) for value in onnx_library.load(tmp_path / "net.onnx").graph.initializer]
    shapes = {weight.shape for weight in weights if weight.ndim > 1}
    # A compact layer stays small; the others are dense again, with their zeros.
    assert ((14, 5, 3, 3) in shapes) == (kernel == "compact")
    assert ((20, 6, 3, 3) in shapes) == (kernel != "compact")


@pytest.mark.parametrize("kernel", ["csr", "compact"])
def test_a_relu_that_is_part_of_a_layer_stays(kernel: str) -> None:
    layer = changes.packed(nn.Linear(12, 8), kernel)
    layer.relu = True
    x = torch.randn(3, 12)
    torch.testing.assert_close(standard_layers(layer)(x), layer(x))
    assert (layer(x) == 0).any()


def test_a_layer_in_sparse_training(tmp_path: Path) -> None:
    layer = SparseLinear.random(12, 8, 0.3)
    found = export(layer, (torch.randn(4, 12),), tmp_path / "net.pt2")
    assert found.max_error == 0.0
    assert layer.trains


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.ones(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_buffer("offset")


def test_errors_are_one_line_and_leave_no_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    x = torch.randn(4, 3)
    cases = (
        (Branches(), (x,), "net.pt2", ModelError, r"Branches.*test_export_layers.*x\.sum\(\) > 0.*torch\.where"),
        (Fixed(), (x,), "net.onnx", ModelError, "dynamic=False"),
        (nn.Linear(3, 2), (x,), "net.txt", SettingError, "unknown format 'txt'.*onnx, pt2"),
        (nn.Linear(3, 2), (x, None), "net.pt2", ModelError, "NoneType; expected a tensor, a CSR or a Graph"),
    )
    for model, example, name, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            export(model, example, tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(SettingError, match="opset is 9; expected 18 to 23"):
        export(nn.Linear(3, 2), (x,), tmp_path / "net.onnx", opset=9)
    with pytest.raises(SettingError, match="no ONNX file"):
        export(nn.Linear(3, 2), (x,), tmp_path / "net.pt2", opset=20)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""
    assert export(Fixed(), (x,), tmp_path / "net.pt2", dynamic=False).inputs == {"x": (4, 3)}


def test_a_file_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "runner", lambda data: lambda tensors: [tensors[0] * 0])
    with pytest.raises(ModelError, match="differs from the network by"):
        export(Linear(3, 3), (torch.randn(4, 3),), tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_difference_is_that_of_the_worst_number() -> None:
    wanted = [torch.tensor([1.0, float("nan"), 4.0])]
    assert difference([torch.tensor([1.0, float("nan"), 5.0])], wanted) == 0.25
    assert difference([torch.tensor([0.5])], [torch.tensor([0.25])]) == 0.25
    assert difference([torch.tensor([1.0, 1.0, 4.0])], wanted) == float("inf")
    assert difference([torch.zeros(2)], wanted) == float("inf")
    assert difference([], wanted) == float("inf")


def test_all_forms_are_compared() -> None:
    model = models.build("gcn", in_features=6, hidden=8, out_features=3)
    graph = Graph.from_edge_index(torch.randint(0, 9, (2, 20)), 9)
    forms = compare_exports(model, (torch.randn(9, 6), graph), compiled=False, repeats=5, seconds=0.1, threads=1)
    assert [form.name for form in forms] == ["eager", "accelerated", "onnx", "pt2"]
    for form in forms:
        assert form.timing is not None
        assert form.difference is not None
        assert form.difference <= 1e-5
        assert (form.bytes is not None) == (form.name in {"onnx", "pt2"})
        assert form.to_json()["median_ms"] == form.timing.median_ms
    (unable, *_) = [f for f in compare_exports(Branches(), (torch.randn(3, 2),), compiled=False, repeats=5) if f.note]
    assert unable.name in {"accelerated", "onnx"}
