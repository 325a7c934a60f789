from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels.low_bits import to_panels
from tests.kernels.low_bits.cases import COLUMNS, OUTPUTS, ROWS, columns, exact, normal, outputs, rows, seeds
from tests.kernels.low_bits.families import FAMILIES

families = st.sampled_from(sorted(FAMILIES))
each_family = pytest.mark.parametrize("name", sorted(FAMILIES))


@given(families, rows, columns, outputs, seeds)
def test_native_and_reference_are_the_definition(name, height, width, count, seed):
    family = FAMILIES[name]
    x, weight = family.draw(height, width, seed=seed), family.draw(count, width, seed=seed + 1)
    words, panels = family.words(x), to_panels(family.words(weight))
    expected = exact(x, weight)
    for product in (family.matmul, family.matmul_reference):
        out = product(words, panels, width, count)
        assert out.dtype is torch.int32
        assert torch.equal(out, expected)
    scale, x_scale, bias = normal(count, seed=1), normal(height, seed=2), normal(count, seed=3)
    scaled = expected.double() * scale * x_scale[:, None] + bias
    close = {"rtol": 1e-5, "atol": 1e-4 * (1 + width)}
    out = family.linear(words, panels, width, scale, x_scale=x_scale, bias=bias)
    torch.testing.assert_close(out.double(), scaled, **close)
    out = family.linear_reference(words, panels, width, scale, x_scale, bias)
    torch.testing.assert_close(out.double(), scaled, **close)
    out = family.linear(words, panels, width, scale)
    torch.testing.assert_close(out.double(), expected.double() * scale, **close)


@each_family
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("height", ROWS)
def test_every_number_of_rows_on_every_instruction_set(name, height):
    family = FAMILIES[name]
    x, weight = family.draw(height, 100, seed=3), family.draw(33, 100, seed=4)
    words, panels = family.words(x), to_panels(family.words(weight))
    assert torch.equal(family.matmul(words, panels, 100, 33), exact(x, weight))
    x_scale, bias = normal(height, seed=1), normal(33, seed=2)
    out = family.linear(words, panels, 100, torch.full((33,), 0.5), x_scale=x_scale, bias=bias)
    expected = exact(x, weight).double() * 0.5 * x_scale[:, None] + bias
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)


@each_family
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", COLUMNS)
def test_every_number_of_columns_on_every_instruction_set(name, width):
    family = FAMILIES[name]
    x, weight = family.draw(5, width, seed=3), family.draw(17, width, seed=4)
    assert torch.equal(family.matmul(family.words(x), to_panels(family.words(weight)), width, 17), exact(x, weight))


@each_family
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("count", OUTPUTS)
def test_every_number_of_outputs_on_every_instruction_set(name, count):
    family = FAMILIES[name]
    x, weight = family.draw(25, 65, seed=3), family.draw(count, 65, seed=4)
    assert torch.equal(family.matmul(family.words(x), to_panels(family.words(weight)), 65, count), exact(x, weight))


@each_family
@pytest.mark.usefixtures("isa")
def test_more_tiles_than_stay_in_cache(name):
    family = FAMILIES[name]
    x, weight = family.draw(60, 70001, seed=3), family.draw(3, 70001, seed=4)
    out = family.matmul(family.words(x), to_panels(family.words(weight)), 70001, 3)
    assert torch.equal(out, exact(x, weight))


@each_family
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("extreme", [-128, 127])
def test_extremes_of_every_sign(name, extreme):
    family = FAMILIES[name]
    full = torch.full((3, 5000), extreme).clamp(-128 if name == "int8" else -1, 127 if name == "int8" else 1)
    x, weight = full.to(torch.int8), full.to(torch.int8).clone()
    weight[1] = -(weight[1] + 1) if name == "int8" else -weight[1]
    out = family.matmul(family.words(x), to_panels(family.words(weight)), 5000, 3)
    assert torch.equal(out, exact(x, weight))


@each_family
def test_the_number_of_threads_changes_no_bit(name, isa, threads):
    family = FAMILIES[name]
    x, weight = family.draw(130, 900, seed=3), family.draw(70, 900, seed=4)
    words, panels = family.words(x), to_panels(family.words(weight))
    found = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append(family.linear(words, panels, 900, normal(70), x_scale=normal(130), bias=normal(70, seed=9)))
    assert all(torch.equal(found[0], other) for other in found[1:])


@each_family
@pytest.mark.usefixtures("isa")
def test_words_may_have_gaps(name):
    family = FAMILIES[name]
    x, weight = family.draw(7, 9, 5, seed=3), family.draw(20, 9, 5, seed=4)
    words, panels = family.words(x).flatten(1, 2), to_panels(family.words(weight).flatten(1, 2))
    expected = exact(x.flatten(1), weight.flatten(1))
    assert torch.equal(family.matmul(words, panels, 45, 20), expected)
    assert torch.equal(family.matmul_reference(words, panels, 45, 20), expected)


@each_family
def test_leading_dimensions_are_kept(name):
    family = FAMILIES[name]
    x, panels = family.draw(2, 3, 40, seed=3), to_panels(family.words(family.draw(5, 40, seed=4)))
    words = family.words(x)
    out = family.matmul(words, panels, 40, 5)
    assert out.shape == (2, 3, 5)
    assert torch.equal(out[1, 2], family.matmul(words[1, 2], panels, 40, 5))
    scaled = family.linear(words, panels, 40, torch.ones(5), x_scale=normal(2, 3))
    torch.testing.assert_close(scaled, out * normal(2, 3)[:, :, None])


@each_family
@pytest.mark.usefixtures("isa")
def test_a_scale_that_is_nan_makes_its_row_nan_and_no_other(name):
    family = FAMILIES[name]
    words, panels = family.words(family.draw(30, 40)), to_panels(family.words(family.draw(5, 40)))
    x_scale = torch.ones(30)
    x_scale[7] = torch.nan
    out = family.linear(words, panels, 40, torch.ones(5), x_scale=x_scale)
    assert out.isnan().any(1).nonzero().tolist() == [[7]]
    assert out[7].isnan().all()


@each_family
@pytest.mark.usefixtures("isa")
def test_strided_arguments(name):
    family = FAMILIES[name]
    x, weight = family.draw(6, 70, seed=3), family.draw(5, 70, seed=4)
    words, panels = family.words(x), to_panels(family.words(weight))
    wide = torch.zeros(5, 2)
    out = family.linear(words[::2], panels, 70, wide[:, 0] + 1.0, bias=wide[:, 1])
    assert torch.equal(out, exact(x[::2], weight).float())


@each_family
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": lambda a: a["words"].float()}, "words: expected int32"),
        ({"words": lambda a: a["words"][:, :1]}, r"words: expected at least (3|18) a row for 70 inputs"),
        ({"words": lambda a: a["words"][0, 0]}, "words: expected int32 of shape"),
        ({"panels": lambda a: a["panels"].long()}, "panels: expected int32 of shape"),
        ({"panels": lambda a: a["panels"][:, :1]}, "panels: expected int32 of shape"),
        ({"columns": lambda a: -1}, "columns and outputs: expected at least 0, found -1"),
        ({"scale": lambda a: torch.ones(5).double()}, r"scale: expected float32 of shape \(5,\), found float64"),
        ({"scale": lambda a: torch.ones(17)}, r"panels: expected int32 of shape \(2, "),
        ({"scale": lambda a: torch.ones(())}, r"scale: expected shape \(outputs,\)"),
        ({"x_scale": lambda a: torch.ones(2)}, r"x_scale: expected float32 of shape \(3,\)"),
        ({"bias": lambda a: torch.ones(2)}, r"bias: expected float32 of shape \(5,\)"),
        ({"bias": lambda a: torch.ones(5, device="meta")}, "bias: is on meta, but the input is on cpu"),
    ],
)
def test_what_is_wrong_is_named(name, changes, message):
    family = FAMILIES[name]
    arguments = {
        "words": family.words(family.draw(3, 70)),
        "panels": to_panels(family.words(family.draw(5, 70))),
        "columns": 70,
        "scale": torch.ones(5),
    }
    wrong = {key: make(arguments) for key, make in changes.items()}
    with pytest.raises(DataError, match=message):
        family.linear(**(arguments | wrong))


def test_ternary_words_need_both_planes():
    family = FAMILIES["ternary"]
    panels = to_panels(family.words(family.draw(5, 70)))
    with pytest.raises(DataError, match=r"words: expected int32 of shape \(..., 3, 2\) for 70 inputs"):
        family.matmul(family.words(family.draw(3, 70))[..., 0], panels, 70, 5)


@each_family
def test_operators_are_registered_soundly(name):
    family = FAMILIES[name]
    words, panels = family.words(family.draw(3, 70)), to_panels(family.words(family.draw(5, 70)))
    matmul, linear = family.operators
    torch.library.opcheck(matmul, (words, panels, 70, 5))
    torch.library.opcheck(linear, (words, panels, 70, torch.ones(5), torch.ones(3), torch.ones(5)))
    torch.library.opcheck(linear, (words, panels, 70, torch.ones(5), None, None))
