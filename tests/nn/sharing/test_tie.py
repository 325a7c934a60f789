"""What weights of a group have in common is what autograd says of the number that they share."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.nn.sharing import Tie


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.booleans(), st.integers(0, 999))
def test_sums_are_the_gradient_of_the_shared_numbers(groups, size, signed, seed):
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(groups + 1, (size,), generator=generator)
    factor = torch.randint(-3, 4, (size,), generator=generator).float() if signed else None
    tie = Tie(group, groups, factor)
    values = torch.randn(groups, generator=generator, requires_grad=True)
    outer = torch.randn(size, generator=generator)
    (tie.spread(values) * outer).sum().backward()
    torch.testing.assert_close(tie.sums(outer), values.grad)
    assert int(tie.counts.sum()) == int((group < groups).sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 999))
def test_means_are_the_nearest_numbers(groups, size, seed):
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(groups, (size,), generator=generator)
    factor = torch.randint(-3, 4, (size,), generator=generator).float()
    weight = torch.randn(size, generator=generator)
    tie = Tie(group, groups, factor)
    design = torch.nn.functional.one_hot(group, groups).double() * factor[:, None].double()
    wanted = torch.linalg.lstsq(design, weight.double()[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(tie.means(weight).double(), wanted, rtol=1e-5, atol=1e-6)


def test_weights_without_a_group_are_zero():
    tie = Tie(torch.tensor([0, 1, 0, 1]), 1)
    assert tie.spread(torch.tensor([3.0])).tolist() == [3.0, 0.0, 3.0, 0.0]
    assert tie.means(torch.tensor([1.0, 5.0, 2.0, 5.0])).tolist() == [1.5]
