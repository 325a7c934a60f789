from __future__ import annotations

import torch

from gossamer.kernels.library import index_error, register


def test_a_registered_operator_runs_traces_and_has_its_gradient():
    def save(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    double = register(
        "twice_for_test(Tensor x) -> Tensor",
        cpu=lambda x: 2 * x,
        reference=lambda x: 2 * x + 0,
        fake=torch.empty_like,
        backward=lambda ctx, grad: 2 * grad,
        save=save,
    )
    x = torch.ones(3, requires_grad=True)
    torch.library.opcheck(double, (x,))
    double(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert double(torch.ones(3, device="meta")).shape == (3,)


def test_index_error_names_the_argument():
    assert str(index_error("columns", 7)).startswith("columns: holds values outside [0, 7)")
