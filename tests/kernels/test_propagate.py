from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import propagate, propagate_reference, quantize_rows, transpose_csr
from gossamer.kernels.propagate import PROPAGATE
from tests.kernels.patterns import WIDTHS, normal, patterns, power_law, to_dense

INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])


def test_worked_example():
    out = propagate(
        INDPTR,
        INDICES,
        torch.tensor([[1.0], [2.0], [3.0]]),
        source=torch.tensor([1.0, 10.0, 100.0]),
        target=torch.tensor([1.0, 1.0, -1.0, 0.5]),
        add=torch.tensor([[1.0], [2.0], [3.0], [4.0]]),
        add_scale=2.0,
        bias=torch.tensor([-5.0]),
        relu=True,
    )
    # Sums 301, 0, 20, 600; scaled 301, 0, -20, 300; with the addend and the bias 298, -1, -19, 303.
    assert out.tolist() == [[298.0], [0.0], [0.0], [303.0]]


@settings(deadline=None, max_examples=60)
@given(
    patterns(20),
    st.sampled_from(WIDTHS),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int8]),
    st.sets(st.sampled_from(["source", "target", "add", "bias", "relu"])),
)
def test_native_is_the_definition(pattern, width, dtype, parts):
    indptr, indices, columns = pattern
    rows = indptr.shape[0] - 1
    x = (normal(columns, width) * 20).to(dtype)
    source = normal(columns, seed=1) if "source" in parts or dtype is torch.int8 else None
    target = normal(rows, seed=2) if "target" in parts else None
    add = normal(rows, width, seed=3) if "add" in parts else None
    bias = normal(width, seed=4) if "bias" in parts else None
    given_parts = {"source": source, "target": target, "add": add, "bias": bias, "relu": "relu" in parts}
    out = propagate(indptr, indices, x, add_scale=1.5, **given_parts)
    expected = to_dense(indptr, indices, columns) @ (
        x.double() if source is None else x.double() * source.double()[:, None]
    )
    expected = expected if target is None else expected * target.double()[:, None]
    expected = expected if add is None else expected + 1.5 * add.double()
    expected = expected if bias is None else expected + bias.double()
    expected = expected.relu() if "relu" in parts else expected
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_every_width_and_element_on_every_instruction_set(width, dtype):
    indptr, indices = power_law(30, 200, seed=width)
    x, scale = (normal(30, width) * 20).to(dtype), normal(30, seed=1)
    for index in (indices, indices.long()):
        out = propagate(indptr, index, x, source=scale, target=scale, bias=normal(width, seed=2))
        expected = propagate_reference(
            indptr, indices, x.double(), scale.double(), scale.double(), None, 1.0, normal(width, seed=2).double()
        )
        torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("width", [1, 20, 128])
def test_the_number_of_threads_changes_no_bit(isa, threads, width):
    # Row 0 holds a third of the entries, many pieces' worth, and needs its epilogue once.
    indptr, indices = power_law(500, 60_000)
    x, scale, add = normal(500, width), normal(500, seed=1), normal(500, width, seed=2)
    results = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        results.append(propagate(indptr, indices, x, source=scale, target=scale, add=add, bias=add[0], relu=True))
    assert all(torch.equal(results[0], other) for other in results[1:])
    doubles = (part.double() for part in (x, scale, scale, add))
    expected = propagate_reference(indptr, indices, *doubles, 1.0, add[0].double(), True)
    torch.testing.assert_close(results[0].double(), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_to_second_order(relu, transposed):
    x, add, bias = normal(3, 2).double(), normal(4, 2, seed=1).double(), normal(2, seed=2).double()
    scales = normal(3, seed=3).double(), normal(4, seed=4).double()
    there = transpose_csr(INDPTR, INDICES, 3) if transposed else None

    def call(x, add, bias):
        parts = {"source": scales[0], "target": scales[1], "add": add, "add_scale": 0.7, "bias": bias}
        return propagate(INDPTR, INDICES, x, **parts, relu=relu, transpose=there)

    inputs = tuple(value.requires_grad_() for value in (x, add, bias))
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


def test_gradient_of_bfloat16_features_comes_as_bfloat16():
    x = normal(3, 5).bfloat16().requires_grad_()
    propagate(INDPTR, INDICES, x).sum().backward()
    assert x.grad.dtype == torch.bfloat16
    assert x.grad[:, 0].tolist() == [1.0, 1.0, 3.0]


@pytest.mark.usefixtures("isa")
def test_nan_goes_where_its_entries_lead_and_through_the_relu():
    x = torch.ones(3, 20)
    x[1, -1] = float("nan")
    out = propagate(INDPTR, INDICES, x, relu=True)
    assert out[2, -1].isnan()
    assert out.isnan().sum() == 1


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 7, 64]), st.sampled_from([1e-20, 1.0, 1e20]))
@settings(deadline=None, max_examples=30)
def test_rows_as_int8_are_off_by_half_a_step_at_most(seed, width, size):
    x = normal(9, width, seed=seed) * size
    x[3] = 0.0
    q, scale = quantize_rows(x)
    assert q.dtype == torch.int8
    assert ((scale[:, None] * q - x).abs() <= scale[:, None] * 0.5001).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.ones(3, 2, dtype=torch.int8)}, "source: is None, but x is int8"),
        ({"x": torch.ones(3)}, r"x: expected shape \(nodes, features\)"),
        ({"x": torch.ones(3, 2, dtype=torch.int64)}, "x: expected a floating-point dtype"),
        ({"source": torch.ones(4)}, r"source: expected float32 of shape \(3,\), found float32 of shape \(4,\)"),
        ({"target": torch.ones(4).double()}, r"target: expected float32 of shape \(4,\), found float64"),
        ({"add": torch.ones(3, 2)}, r"add: expected float32 of shape \(4, 2\)"),
        ({"bias": torch.ones(3)}, r"bias: expected float32 of shape \(2,\)"),
        ({"target": torch.ones(4, requires_grad=True)}, "target: asks for a gradient"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {"indptr": INDPTR, "indices": INDICES, "x": torch.ones(3, 2)} | changes
    with pytest.raises(DataError, match=message):
        propagate(**arguments)


@pytest.mark.usefixtures("isa")
def test_an_index_out_of_range_is_an_error_and_not_a_crash():
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 2\)"):
        propagate(INDPTR, INDICES, torch.ones(2, 20))


def test_the_operator_is_registered_soundly():
    there = transpose_csr(INDPTR, INDICES, 3)
    x, add, bias = (value.requires_grad_() for value in (normal(3, 2), normal(4, 2), normal(2)))
    torch.library.opcheck(PROPAGATE, (INDPTR, INDICES, x, normal(3), normal(4), add, 0.5, bias, True, *there))
    torch.library.opcheck(
        PROPAGATE, (INDPTR, INDICES, x.detach().to(torch.int8), normal(3), *[None] * 2, 1.0, None, False, *there)
    )
