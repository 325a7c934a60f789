from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gossamer.errors import SettingError
from gossamer.train import SGD, Adam, AdamW, Optimizer
from gossamer.train.optimizers import replace_parameter, take_step

GRADIENT = torch.tensor([1.0, -2.0])


def stepped(optimizer: Optimizer, steps: int = 1) -> torch.Tensor:
    """The weights [1, 1] after some steps with the same gradient."""
    weight = torch.nn.Parameter(torch.ones(2))
    built = optimizer.build([weight])
    for _ in range(steps):
        weight.grad = GRADIENT.clone()
        built.step()
    return weight.detach()


def test_sgd_by_hand() -> None:
    # Decay: g + 0.1 w = [1.1, -1.9]; then momentum 0.5 on the second step.
    first = torch.ones(2) - 0.1 * torch.tensor([1.1, -1.9])
    torch.testing.assert_close(stepped(SGD(learning_rate=0.1, weight_decay=0.1, momentum=0.5)), first)
    second = first - 0.1 * (0.5 * torch.tensor([1.1, -1.9]) + GRADIENT + 0.1 * first)
    torch.testing.assert_close(stepped(SGD(learning_rate=0.1, weight_decay=0.1, momentum=0.5), 2), second)


def test_nesterov_looks_ahead() -> None:
    sgd = SGD(learning_rate=0.1, weight_decay=0.0, momentum=0.5, nesterov=True)
    torch.testing.assert_close(stepped(sgd), torch.ones(2) - 0.1 * 1.5 * GRADIENT)
    with pytest.raises(SettingError, match="nesterov is True with momentum 0"):
        SGD(momentum=0.0, nesterov=True)


def test_adam_adds_the_decay_to_the_gradient_and_adamw_does_not() -> None:
    # A first step of Adam goes by the learning rate in the direction of the sign, whatever the size.
    torch.testing.assert_close(stepped(Adam(learning_rate=0.1, weight_decay=3.0)), torch.tensor([0.9, 0.9]))
    expected = (1 - 0.1 * 3.0) * torch.ones(2) - 0.1 * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(stepped(AdamW(learning_rate=0.1, weight_decay=3.0)), expected)


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(), SGD(), SGD(nesterov=True)])
def test_what_needs_no_gradient_is_left_out(optimizer: Optimizer) -> None:
    frozen, trained = (
        torch.nn.Parameter(torch.ones(1), requires_grad=False),
        torch.nn.Parameter(torch.ones(1)),
    )
    assert optimizer.build([frozen, trained]).param_groups[0]["params"] == [trained]


def test_complex_weights_can_be_trained() -> None:
    weight = torch.nn.Parameter(torch.tensor([1 + 1j]))
    built = SGD(learning_rate=1.0, weight_decay=0.0, momentum=0.0).build([weight])
    weight.grad = torch.tensor([1j])
    built.step()
    assert weight.item() == 1


def test_the_family_itself_is_no_optimizer() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Optimizer().build([])


@pytest.mark.parametrize(
    "build",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, fused=True),
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
        lambda p: torch.optim.NAdam(p, lr=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.5),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ],
)
def test_parameters_that_come_later_are_stepped_as_by_a_new_optimizer(build: Any) -> None:
    """After a swap, what is new moves as under an optimiser made then, what is old as if nothing had happened."""
    values = [torch.tensor([1.0, -2.0]), torch.tensor([0.5]), torch.tensor([3.0])]
    old, bias, after = (nn.Parameter(value.clone()) for value in values)
    alone = nn.Parameter(values[2].clone())
    optimizer, steady = build([old, bias, after]), build([alone])
    new = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((2, 2), 2.0))]
    fresh_new = [nn.Parameter(one.detach().clone()) for one in new]

    def step(chosen: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.grad = 0.3 * parameter.detach() + 0.1
        chosen.step()

    for _ in range(2):
        step(optimizer, [old, bias, after])
        step(steady, [alone])
    replace_parameter(optimizer, old, new)
    fresh = build(fresh_new)
    for _ in range(3):
        step(optimizer, [*new, bias, after])
        step(fresh, fresh_new)
        step(steady, [alone])
    assert [id(one) for one in optimizer.param_groups[0]["params"]] == [id(one) for one in [*new, bias, after]]
    for one, expected in zip([*new, after], [*fresh_new, alone], strict=True):
        torch.testing.assert_close(one, expected)
    assert old not in optimizer.state
    state = optimizer.state_dict()
    build([*new, bias, after]).load_state_dict(state)
    replace_parameter(optimizer, old, new)
    assert len(optimizer.param_groups[0]["params"]) == 4


def test_one_thread_updates_few_parameters_and_all_update_many() -> None:
    """Whatever the threads, the update is that of the optimiser, and the threads are afterwards as they were."""
    counts: list[int] = []
    set_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for size in (100, 1 << 17):
            weight, other = (nn.Parameter(torch.ones(size)) for _ in range(2))
            weight.grad, other.grad = torch.arange(size) / size, torch.arange(size) / size
            one, two = (SGD(learning_rate=0.1, momentum=0.9).build([each]) for each in (weight, other))
            one.register_step_pre_hook(lambda *_: counts.append(torch.get_num_threads()))
            take_step(one)
            two.step()
            torch.testing.assert_close(weight, other, rtol=0.0, atol=0.0)
            assert torch.get_num_threads() == 2
        assert counts == [1, 2]
    finally:
        torch.set_num_threads(set_threads)


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(), SGD(), SGD(nesterov=True), SGD(momentum=0.0)])
def test_few_parameters_are_updated_as_by_the_optimiser_itself(optimizer: Optimizer) -> None:
    def run(step: Any) -> tuple[list[torch.Tensor], dict[str, Any]]:
        torch.manual_seed(0)
        parts = [nn.Parameter(torch.randn(7, 3)), nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(2))]
        built = optimizer.build(parts)
        for _ in range(4):
            for part in parts[:2]:  # the last has no gradient
                part.grad = torch.randn_like(part)
            step(built)
        return [part.detach() for part in parts], built.state_dict()["state"]

    for found, wanted in zip(run(take_step)[0], run(lambda built: built.step())[0], strict=True):
        assert torch.equal(found, wanted)
    states = run(take_step)[1], run(lambda built: built.step())[1]
    assert states[0].keys() == states[1].keys()
    for place in states[0]:
        for name, value in states[1][place].items():
            assert torch.equal(torch.as_tensor(states[0][place][name]), torch.as_tensor(value)), name


def test_what_watches_an_optimiser_sees_every_step() -> None:
    part = nn.Parameter(torch.ones(2))
    built, seen = SGD(momentum=0.0).build([part]), []
    built.register_step_post_hook(lambda *_: seen.append(1))
    for _ in range(3):
        part.grad = GRADIENT.clone()
        take_step(built)
    assert len(seen) == 3
