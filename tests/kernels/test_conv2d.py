from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn import grad as dense_gradients

from gossamer.errors import DataError
from gossamer.kernels import Steps, native, sparse_conv2d, to_blocks
from gossamer.kernels.conv2d import (
    SPARSE_CONV2D,
    SPARSE_CONV2D_INPUT,
    SPARSE_CONV2D_VALUES,
    sparse_conv2d_input_reference,
    sparse_conv2d_reference,
    sparse_conv2d_values_reference,
)
from tests.kernels.patterns import HALVES, csr_arrays, normal

HEIGHT = {"csr": 1, "blocks": 16, "blocks8": 8}  # of a block, by form
needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")


def pattern(weight, form, index=torch.int32):
    """Returns (indptr, columns, values) of a dense weight's zeros, in CSR form or in blocks."""
    matrix = weight.flatten(1)
    if form != "csr":
        indptr, columns, values = to_blocks(matrix, HEIGHT[form])
        return indptr, columns.to(index), values
    indptr, columns, values = csr_arrays(matrix)
    return indptr, columns.to(index), values


def sparse_weight(outputs, channels, kernel, density=0.4, seed=0):
    """Returns a dense weight whose zeros are shared by 16 outputs."""
    mask = torch.rand(-(-outputs // 16), channels, *kernel, generator=torch.Generator().manual_seed(seed)) < density
    return normal(outputs, channels, *kernel, seed=seed + 1) * mask.repeat_interleave(16, 0)[:outputs]


def at_stored_places(dense, weight, form):
    """Reads a dense gradient (C_out, C_in, kh, kw) at the places that are stored."""
    indptr, columns, _ = pattern(weight, form)
    row = torch.repeat_interleave(indptr.diff())
    if form == "csr":
        return dense.flatten(1)[row, columns]
    height = HEIGHT[form]
    padded = F.pad(dense.flatten(1), (0, 0, 0, -dense.shape[0] % height))
    return padded.view(-1, height, padded.shape[1])[row, :, columns]


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=80)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from([1, 3, 16, 17, 40])),
    st.builds(Steps, pairs, pairs, st.tuples(st.integers(0, 3), st.integers(0, 3)), pairs),
    st.tuples(st.integers(1, 12), st.integers(1, 40)),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.fixed_dictionaries({"form": st.sampled_from(list(HEIGHT)), "relu": st.booleans(), "bias": st.booleans()}),
)
def test_native_and_reference_are_the_dense_convolution(counts, steps, size, density, options):
    images, channels, outputs = counts
    form = options["form"]
    x, weight = normal(images, channels, *size, seed=5), sparse_weight(outputs, channels, steps.kernel, density)
    bias = normal(outputs, seed=6) if options["bias"] else None
    parts = pattern(weight, form)
    if min(steps.out_size(*size)) < 1:
        with pytest.raises(DataError, match="reaches over more than the padded image"):
            sparse_conv2d(*parts, x, outputs, steps)
        return
    exact = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), *steps[1:])
    wanted = exact.relu() if options["relu"] else exact
    close = {"rtol": 1e-5, "atol": 1e-4}
    got = sparse_conv2d(*parts, x, outputs, steps, bias, options["relu"])
    torch.testing.assert_close(got.double(), wanted, **close)
    got = sparse_conv2d_reference(*parts, x, bias, outputs, *steps, options["relu"])
    torch.testing.assert_close(got.double(), wanted, **close)

    flow = normal(*exact.shape, seed=7)
    wanted = dense_gradients.conv2d_input(x.shape, weight.double(), flow.double(), *steps[1:])
    for call in (SPARSE_CONV2D_INPUT, sparse_conv2d_input_reference):
        torch.testing.assert_close(call(*parts, flow, x.shape[1:], *steps).double(), wanted, **close)
    dense = dense_gradients.conv2d_weight(x.double(), weight.shape, flow.double(), *steps[1:])
    wanted = at_stored_places(dense, weight, form)
    for call in (SPARSE_CONV2D_VALUES, sparse_conv2d_values_reference):
        got = call(*parts[:2], flow, x, HEIGHT[form], *steps)
        torch.testing.assert_close(got.double(), wanted.double(), rtol=1e-5, atol=1e-3)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize(
    ("steps", "size"),
    [
        (Steps((3, 3), padding=(1, 1)), (9, 7)),
        (Steps((3, 3), padding=(1, 1)), (33, 20)),  # several chunks of results
        (Steps((3, 3), (2, 2), (1, 1)), (12, 13)),
        (Steps((1, 1), (2, 2)), (10, 9)),
        (Steps((3, 1), (2, 1), (0, 2), (2, 1)), (9, 9)),
        (Steps((5, 3), (1, 3), (2, 0), (1, 2)), (12, 300)),
        (Steps((1, 1), padding=(1, 1)), (3, 3)),
        (Steps((4, 4)), (4, 4)),
    ],
)
def test_every_shape_on_every_instruction_set(form, index, steps, size):
    x, weight, bias = normal(3, 5, *size, seed=5), sparse_weight(37, 5, steps.kernel), normal(37, seed=6)
    parts = pattern(weight, form, index)
    wanted = F.conv2d(x, weight, bias, *steps[1:])
    torch.testing.assert_close(sparse_conv2d(*parts, x, 37, steps, bias), wanted, rtol=1e-4, atol=1e-4)
    flow = normal(*wanted.shape, seed=7)
    got = SPARSE_CONV2D_INPUT(*parts, flow, x.shape[1:], *steps)
    wanted = dense_gradients.conv2d_input(x.shape, weight, flow, *steps[1:])
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    got = SPARSE_CONV2D_VALUES(*parts[:2], flow, x, HEIGHT[form], *steps)
    dense = dense_gradients.conv2d_weight(x, weight.shape, flow, *steps[1:])
    torch.testing.assert_close(got, at_stored_places(dense, weight, form), rtol=1e-3, atol=1e-3)


@needs_kernels
@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize("images", [1, 5])
def test_the_number_of_threads_changes_no_bit(isa, threads, form, images):
    steps = Steps((3, 3), padding=(1, 1))
    x, weight = normal(images, 8, 20, 20), sparse_weight(70, 8, (3, 3))
    parts, found = pattern(weight, form), []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        out = sparse_conv2d(*parts, x, 70, steps)
        back = SPARSE_CONV2D_INPUT(*parts, out, x.shape[1:], *steps)
        values = SPARSE_CONV2D_VALUES(*parts[:2], out, x, HEIGHT[form], *steps)
        found.append((out, back, values))
    for other in found[1:]:
        assert all(torch.equal(mine, its) for mine, its in zip(found[0], other, strict=True))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_the_taps_lead_and_nowhere_else(form, poison):
    x = torch.zeros(2, 2, 6, 6)
    x[1, 0, 5, 5] = poison
    weight = torch.ones(32, 2, 3, 3)
    weight[16:, 0] = 0.0
    out = sparse_conv2d(*pattern(weight, form), x, 32, Steps((3, 3), padding=(1, 1)))
    wrong = ~out.isfinite()
    assert wrong[1, :16, 4:, 4:].all()
    wrong[1, :16, 4:, 4:] = False
    assert not wrong.any()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize("bad", [-1, 18, 2**31 - 1])
def test_a_column_out_of_range_is_an_error_and_not_a_crash(form, bad):
    indptr, columns, values = pattern(torch.ones(16, 2, 3, 3), form)
    columns[3] = bad
    steps = Steps((3, 3))
    x, flow = torch.ones(1, 2, 5, 5), torch.ones(1, 16, 3, 3)
    message = r"columns: holds values outside \[0, 18\)"
    with pytest.raises(DataError, match=message):
        sparse_conv2d(indptr, columns, values, x, 16, steps)
    with pytest.raises(DataError, match=message):
        SPARSE_CONV2D_INPUT(indptr, columns, values, flow, x.shape[1:], *steps)
    with pytest.raises(DataError, match=message):
        SPARSE_CONV2D_VALUES(indptr, columns, flow, x, HEIGHT[form], *steps)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize(("stored", "dtype"), HALVES)
def test_bfloat16_is_summed_in_float32_and_rounded_once(form, stored, dtype):
    steps = Steps((3, 3), padding=(1, 1))
    weight, x = sparse_weight(20, 3, (3, 3)).to(stored), normal(2, 3, 9, 7, seed=5).to(dtype).requires_grad_()
    bias = normal(20, seed=6).to(dtype)
    indptr, columns, values = pattern(weight, form)
    out = sparse_conv2d(indptr, columns, values.requires_grad_(), x, 20, steps, bias, relu=True)
    exact = [array.detach().double().requires_grad_() for array in (weight, x)]
    wanted = F.conv2d(exact[1], exact[0], bias.double(), padding=1).relu()
    close = {"rtol": 1 / 128 if dtype is torch.bfloat16 else 1e-5, "atol": 1e-3}
    assert out.dtype is dtype
    torch.testing.assert_close(out.double(), wanted, **close)
    flow = normal(*out.shape, seed=7).to(dtype)
    out.backward(flow)
    wanted.backward(flow.double() * (out > 0))
    assert (x.grad.dtype, values.grad.dtype) == (dtype, stored)
    loose = {"rtol": 1 / 128, "atol": 1e-2}
    torch.testing.assert_close(x.grad.double(), exact[1].grad, **loose)
    got = at_stored_places(exact[0].grad, weight.double(), form)
    torch.testing.assert_close(values.grad.double(), got, **loose)


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    parts = pattern(torch.ones(16, 2, 1, 1), "blocks")
    assert not sparse_conv2d(*parts, torch.full((1, 2, 3, 3), 1e-40), 16, Steps((1, 1))).any()


@pytest.mark.parametrize("form", list(HEIGHT))
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_to_second_order(form, relu):
    steps = Steps((2, 2), (1, 2), (1, 0))
    indptr, columns, values = pattern(sparse_weight(17, 2, (2, 2), 0.3).double(), form)
    x, bias = normal(1, 2, 3, 4, seed=5).double().requires_grad_(), normal(17).double().requires_grad_()

    def call(values, x, bias):
        return sparse_conv2d(indptr, columns, values, x, 17, steps, bias, relu)

    assert torch.autograd.gradcheck(call, (values.requires_grad_(), x, bias))
    assert torch.autograd.gradgradcheck(call, (values, x, bias), fast_mode=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": torch.ones(2)}, "columns: expected int32 or int64"),
        ({"values": torch.ones(2, 4)}, r"values: expected shape \(2,\), \(2, 16\) or \(2, 8\), found float32"),
        ({"values": torch.ones(2, 16).double()}, "values: expected the dtype of x, float32"),
        ({"x": torch.ones(3, 5, 5)}, r"x: expected shape \(N, C, H, W\)"),
        ({"x": torch.ones(1, 3, 2, 5)}, "x: the kernel .* reaches over more than the padded image"),
        ({"outputs": 17}, "indptr: expected 3 entries for 17 outputs, found 2"),
        ({"bias": torch.ones(16)}, r"bias: expected shape \(15,\)"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {
        "indptr": torch.tensor([0, 2]),
        "columns": torch.tensor([0, 2]),
        "values": torch.ones(2, 16),
        "x": torch.ones(1, 3, 5, 5),
        "outputs": 15,
        "steps": Steps((3, 3)),
    } | changes
    with pytest.raises(DataError, match=message):
        sparse_conv2d(**arguments)


@pytest.mark.parametrize("form", list(HEIGHT))
def test_operators_are_registered_soundly(form):
    steps = Steps((2, 2), (1, 2), (1, 0))
    indptr, columns, values = pattern(sparse_weight(17, 2, (2, 2)), form)
    values, x, bias = values.requires_grad_(), normal(1, 2, 3, 4).requires_grad_(), normal(17).requires_grad_()
    flow = normal(1, 17, 4, 2).requires_grad_()
    for relu in (False, True):
        torch.library.opcheck(SPARSE_CONV2D, (indptr, columns, values, x, bias, 17, *steps, relu))
    torch.library.opcheck(SPARSE_CONV2D_INPUT, (indptr, columns, values, flow, [2, 3, 4], *steps))
    torch.library.opcheck(SPARSE_CONV2D_VALUES, (indptr, columns, flow, x, HEIGHT[form], *steps))
