from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.kernels import attend_additive, attend_dot, attend_mixed, native, quantize_rows, transpose_csr
from gossamer.kernels.attention.forward import ATTENTION
from gossamer.kernels.attention.gradients import ATTENTION_BACK, LEAKY_SUM
from gossamer.kernels.attention.references import attention_reference, kept
from tests.kernels.patterns import normal, patterns, power_law

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])
# Heads and features around powers of two, vector widths, and more heads than a vector has lanes.
SHAPES = [(1, 1), (1, 7), (1, 47), (2, 100), (3, 5), (4, 32), (5, 16), (8, 8), (16, 3), (20, 3)]
FORMS = {"additive": attend_additive, "dot": attend_dot, "mixed": attend_mixed}


def inputs(form: str, rows: int, columns: int, heads: int, features: int) -> tuple[Tensor, ...]:
    """The tensors of a form: values, target and source; values, queries and keys; target, source and mix."""
    values = normal(columns, heads, features)
    if form == "additive":
        return values, normal(rows, heads, seed=1) * 2, normal(columns, heads, seed=2) * 2
    target = normal(rows, heads, features, seed=3)
    if form == "dot":
        return values, target, normal(columns, heads, features, seed=4)
    return target, values, normal(heads, features, seed=5)


def by_hand(form: str, indptr: Tensor, indices: Tensor, parts: tuple[Tensor, ...], slope: float = 0.2) -> Tensor:
    """The definition, row by row, with PyTorch's softmax."""
    leaky = torch.nn.functional.leaky_relu
    target, values = (parts[0], parts[1]) if form == "mixed" else (parts[1], parts[0])
    out = values.new_zeros(indptr.shape[0] - 1, *values.shape[1:])
    for row in range(out.shape[0]):
        js = indices[indptr[row] : indptr[row + 1]].long()
        if js.shape[0] == 0:
            continue
        if form == "additive":
            scores = leaky(target[row] + parts[2][js], slope)
        elif form == "dot":
            scores = (target[row] * parts[2][js]).sum(-1) / values.shape[2] ** 0.5
        else:
            scores = (parts[2] * leaky(target[row] + values[js], slope)).sum(-1)
        out[row] = (torch.softmax(scores, 0)[..., None] * values[js]).sum(0)
    return out


@settings(deadline=None, max_examples=60)
@given(patterns(15), st.sampled_from(SHAPES), st.sampled_from(list(FORMS)))
def test_native_is_the_definition(pattern, shape, form):
    indptr, indices, columns = pattern
    parts = inputs(form, indptr.shape[0] - 1, columns, *shape)
    out = FORMS[form](indptr, indices, *parts)
    expected = by_hand(form, indptr, indices, tuple(part.double() for part in parts))
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_native_equals_the_reference_forward_and_backward(shape, form, dropout):
    for nodes, edges in ((30, 200), (100, 20_000)):  # of the second, row 0 is shared by pieces
        indptr, indices = power_law(nodes, edges)
        there = transpose_csr(indptr, indices, nodes)
        parts = inputs(form, nodes, nodes, *shape)
        mine = [part.clone().requires_grad_() for part in parts]
        reference = [part.double().requires_grad_() for part in parts]
        settings = {"dropout": dropout, "seed": 7}
        got = FORMS[form](indptr, indices, *mine, **settings, transpose=there)
        expected = FORMS[form](indptr, indices, *reference, **settings)
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)
        flow = normal(*got.shape, seed=9)
        got.backward(flow)
        expected.backward(flow.double())
        for one, other in zip(mine, reference, strict=True):
            scale = float(other.grad.abs().max()) + 1.0
            torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_the_reference(form, dropout, transposed):
    parts = tuple(part.double().requires_grad_() for part in inputs(form, 4, 3, 2, 3))
    there = transpose_csr(INDPTR, INDICES, 3) if transposed else None

    def call(*parts: Tensor) -> Tensor:
        return FORMS[form](INDPTR, INDICES, *parts, dropout=dropout, seed=1, transpose=there)

    assert torch.autograd.gradcheck(call, parts)


@needs_kernels
@pytest.mark.parametrize("form", FORMS)
def test_the_number_of_threads_changes_no_bit(isa, threads, form):
    indptr, indices = power_law(300, 30_000)
    results = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        parts = [part.requires_grad_() for part in inputs(form, 300, 300, 4, 32)]
        out = FORMS[form](indptr, indices, *parts, dropout=0.3, seed=3)
        out.backward(normal(*out.shape, seed=1))
        results.append([out, *(part.grad for part in parts)])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def stored(form: str, parts: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The tensors of a form with what is gathered in `dtype`, and the scales that go with them."""
    scales = {}
    found = list(parts)
    for place, name in ((1, "row_scale"),) if form == "mixed" else ((0, "row_scale"), (2, "key_scale")):
        if name == "key_scale" and form != "dot":
            continue
        if dtype is torch.int8:
            found[place], scales[name] = quantize_rows(parts[place])
        else:
            found[place] = parts[place].to(dtype)
    return found, scales


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
def test_stored_features_give_what_their_float_values_give(shape, form, dtype):
    for nodes, edges in ((30, 200), (100, 20_000)):
        indptr, indices = power_law(nodes, edges)
        parts, scales = stored(form, inputs(form, nodes, nodes, *shape), dtype)
        mine = [part.clone().requires_grad_(part.is_floating_point()) for part in parts]
        wide = [part.double() for part in parts]
        for place, name in ((1 if form == "mixed" else 0, "row_scale"), (2, "key_scale")):
            if name in scales:
                wide[place] = wide[place] * scales[name][:, None, None]
        reference = [part.requires_grad_() for part in wide]
        got = FORMS[form](indptr, indices, *mine, **scales, dropout=0.3, seed=5)
        assert got.dtype is torch.float32
        expected = FORMS[form](indptr, indices, *reference, dropout=0.3, seed=5)
        torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)
        flow = normal(*got.shape, seed=9)
        got.backward(flow)
        expected.backward(flow.double())
        for one, other in zip(mine, reference, strict=True):
            if not one.is_floating_point():
                assert one.grad is None
                continue
            assert one.grad.dtype is one.dtype
            rounded = 2**-7 if one.dtype is torch.bfloat16 else 1e-4
            scale = float(other.grad.abs().max()) + 1.0
            torch.testing.assert_close(one.grad.double(), other.grad, rtol=rounded, atol=2e-5 * scale)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
def test_the_reference_reads_stored_features_too(form, dtype):
    parts, scales = stored(form, inputs(form, 4, 3, 2, 5), dtype)
    scores = {
        "additive": (parts[1], parts[2], None, None, 0, 0.2, 1.0, 0, 0.0),
        "dot": (parts[1], parts[2], scales.get("key_scale"), None, 1, 0.0, 5**-0.5, 0, 0.0),
        "mixed": (parts[0], parts[1], scales.get("row_scale"), parts[2], 2, 0.2, 1.0, 0, 0.0),
    }[form]
    values = parts[1 if form == "mixed" else 0]
    expected = attention_reference(INDPTR, INDICES, values, scales.get("row_scale"), *scores)[0]
    torch.testing.assert_close(FORMS[form](INDPTR, INDICES, *parts, **scales), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("form", FORMS)
def test_inputs_may_be_views_and_sizes_may_be_zero(form):
    parts = inputs(form, 4, 3, 2, 6)
    views = [torch.stack([part, part], -1)[..., 0] for part in parts]
    assert not any(view.is_contiguous() for view in views)
    assert torch.equal(FORMS[form](INDPTR, INDICES, *views), FORMS[form](INDPTR, INDICES, *parts))
    for heads, features in ((0, 4), (2, 0)):
        got = FORMS[form](INDPTR, INDICES, *inputs(form, 4, 3, heads, features))
        assert got.shape == (4, heads, features)
    empty = torch.zeros(1, dtype=torch.int64)
    assert FORMS[form](empty, INDICES[:0], *inputs(form, 0, 3, 2, 4)).shape == (0, 2, 4)
    assert not FORMS[form](torch.zeros(5, dtype=torch.int64), INDICES[:0], *inputs(form, 4, 0, 2, 4)).any()


def test_what_is_wrong_with_stored_features_is_named():
    values, target, source = torch.ones(3, 2, 5), torch.ones(4, 2), torch.ones(3, 2)
    with pytest.raises(DataError, match="row_scale: is None, but values is int8; pass the scale of each row"):
        attend_additive(INDPTR, INDICES, values.to(torch.int8), target, source)
    with pytest.raises(DataError, match=r"row_scale: expected float32 of shape \(3,\), found float32 of shape \(2,\)"):
        attend_additive(INDPTR, INDICES, values.to(torch.int8), target, source, row_scale=torch.ones(2))
    with pytest.raises(DataError, match="row_scale: asks for a gradient"):
        attend_additive(INDPTR, INDICES, values, target, source, row_scale=torch.ones(3, requires_grad=True))
    with pytest.raises(DataError, match="keys: expected shape and dtype of values, bfloat16 of shape"):
        attend_dot(INDPTR, INDICES, values.bfloat16(), torch.ones(4, 2, 5), values)
    with pytest.raises(DataError, match=r"target: expected shape \(4, 2\) and the sums' dtype, float32, of values"):
        attend_additive(INDPTR, INDICES, values.bfloat16(), target.bfloat16(), source)


@pytest.mark.usefixtures("isa")
def test_scores_of_any_size_and_equal_ones():
    values = normal(3, 2, 5)
    for size in (1e4, -1e4, 1e30):
        out = attend_additive(INDPTR, INDICES, values, torch.full((4, 2), size), torch.zeros(3, 2))
        torch.testing.assert_close(out[0], values[[0, 2]].mean(0))
        torch.testing.assert_close(out[3], values[2])
        assert not out[1].any()


@pytest.mark.usefixtures("isa")
def test_nan_stays_in_its_rows_and_heads():
    source = torch.zeros(3, 2)
    source[1, 0] = float("nan")
    out = attend_additive(INDPTR, INDICES, torch.ones(3, 2, 5), torch.zeros(4, 2), source)
    assert out[2, 0].isnan().all()
    assert out.isnan().sum() == 5


def test_dropout_keeps_the_expectation_and_depends_on_seed_and_place_only():
    places = torch.arange(200_000)
    for dropout in (0.1, 0.5, 0.9):
        keep = kept(places, 11, dropout)
        assert abs(float((keep == 0).double().mean()) - dropout) < 0.005
        assert abs(float(keep.mean()) - 1.0) < 0.03
    assert torch.equal(kept(places[500:600], 11, 0.5), kept(places, 11, 0.5)[500:600])
    assert not torch.equal(kept(places, 12, 0.5), kept(places, 11, 0.5))
    assert not kept(places, 11, 1.0).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": torch.ones(3, 4)}, r"values: expected shape \(nodes, heads, features\)"),
        ({"target": torch.ones(3, 2)}, r"target: expected shape \(4, 2\) and the dtype of values"),
        ({"source": torch.ones(3, 2).double()}, r"source: expected shape \(3, 2\) .* found float64"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {"values": torch.ones(3, 2, 5), "target": torch.ones(4, 2), "source": torch.ones(3, 2)} | changes
    with pytest.raises(DataError, match=message):
        attend_additive(INDPTR, INDICES, **arguments)
    with pytest.raises(SettingError, match=r"dropout probability is 1\.5"):
        attend_additive(INDPTR, INDICES, torch.ones(3, 2, 5), torch.ones(4, 2), torch.ones(3, 2), dropout=1.5)


@needs_kernels
def test_an_index_out_of_range_is_an_error_and_not_a_crash(isa):
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 2\)"):
        attend_additive(INDPTR, INDICES, torch.ones(2, 2, 5), torch.ones(4, 2), torch.ones(2, 2))


def test_operators_are_registered_soundly():
    there = transpose_csr(INDPTR, INDICES, 3)
    values, target, mix = normal(3, 2, 5), normal(4, 2, 5), normal(2, 5)
    scores = (target, values, None, mix, 2, 0.2, 1.0, 3, 0.5)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (INDPTR, INDICES, values.clone().requires_grad_(), None, *scores, *there)
    torch.library.opcheck(ATTENTION, arguments, test_utils=checks)
    norms, result, grad = normal(4, 2), normal(4, 2, 5), normal(4, 2, 5)
    torch.library.opcheck(
        ATTENTION_BACK,
        (INDPTR, INDICES, values, *scores, norms, result, grad, *there),
        test_utils=checks,
    )
    torch.library.opcheck(LEAKY_SUM, (INDPTR, INDICES, normal(5, 2), target, values, 0.2, None), test_utils=checks)
