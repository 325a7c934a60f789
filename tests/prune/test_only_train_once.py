"""Groups at zero stay there, as many as asked for are, and cutting them out changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gossamer
from gossamer.compression import compress
from gossamer.deploy import EraseModule, changes
from gossamer.errors import ModelError, SettingError
from gossamer.nn import Erased
from gossamer.prune.dhspg import UnitsToZero
from gossamer.prune.h2spg import OperatorsToZero
from gossamer.prune.operator_space import OperatorSpace
from gossamer.prune.pressing import Chance, FiveSigns, PartByPart, SoftThreshold
from gossamer.prune.unit_space import UnitSpace
from gossamer.tasks import ImageClassification, Images
from gossamer.train import SGD, Adam, Training

RULES = {
    "dhspg": UnitsToZero(sparsity=0.6),
    "hesso": UnitsToZero(sparsity=0.6, redundancy=FiveSigns(), pressing=PartByPart(periods=3)),
}


def task() -> ImageClassification:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(96) % 4
    x = torch.randn(96, 1, 6, 6, generator=draw)
    x[torch.arange(96), 0, y, y] += 3.0
    return ImageClassification(Images(x, y, x, y, 4), batch_size=16, example_batch=5)


class Branched(nn.Module):
    """A sum of three branches, and a concatenation of three with a norm behind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.one = nn.Conv2d(6, 6, 1)
        self.three = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.five = nn.Conv2d(6, 6, 5, padding=2)
        self.left, self.middle, self.right = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 4, 3, padding=1), nn.Conv2d(6, 5, 1)
        self.norm = nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.one(x) + F.dropout(self.three(x), 0.1, self.training) + self.five(x))
        x = F.relu(self.norm(torch.cat([self.left(x), F.relu(self.middle(x)), self.right(x)], 1)))
        return self.head(x.mean((2, 3)))


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.Conv2d(10, 12, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 16, 4),
    )


@pytest.mark.parametrize("optimizer", [SGD(learning_rate=0.05), Adam()], ids=lambda one: one.name)
@pytest.mark.parametrize("rule", RULES)
def test_as_many_units_go_as_asked_for_and_the_cut_changes_nothing(rule: str, optimizer: SGD | Adam) -> None:
    training = Training(epochs=8, optimizer=optimizer, keep_best=False)
    result = compress(
        convolutional(), task(), RULES[rule], training=training, latency=False, accelerate=False, progress=False
    )
    assert result.report["groups"] == 22
    assert result.report["zero"] == int(0.6 * 22)
    assert result.report["forced"] == 0
    assert result.report["difference"] < 1e-5
    assert sum(record["units"] - record["kept"] for record in result.report["units"]) == 13
    assert result.notes == ()


def test_groups_at_zero_stay_there_whatever_the_optimiser_remembers() -> None:
    data, method = task(), UnitsToZero(sparsity=0.6, warm_up=0.0, until=1.0)
    run = method.start(convolutional(), data, epochs=8)
    optimizer = torch.optim.Adam(run.model.parameters(), lr=0.02)
    before = run.zero
    names = dict(run.model.named_parameters())
    for epoch in range(8):
        for batch in data.batches("train", epoch=epoch):
            optimizer.zero_grad()
            data.loss(run.model, batch).backward()
            run.after_backward()
            optimizer.step()
            run.after_step(optimizer)
            assert bool((run.zero | ~before).all())
            before = run.zero
            if run.settled:
                break
            first = before[:10]
            assert not names["0.weight"][first].any()
            assert not names["1.bias"][first].any()
            assert bool(names["1.weight"][~first].all())
        if run.settled:
            break
    assert run.settled
    assert optimizer.state[names["0.weight"]]["exp_avg"].shape == names["0.weight"].shape


def test_kept_widths_are_multiples() -> None:
    method = UnitsToZero(sparsity=0.5, multiple_of=4)
    result = compress(
        convolutional(), task(), method, training=Training(epochs=0), latency=False, accelerate=False, progress=False
    )
    assert all(record["kept"] % 4 == 0 for record in result.report["units"])
    assert result.report["units"]


def test_a_group_lasso_may_fall_short_and_says_so() -> None:
    method = UnitsToZero(sparsity=0.5, pressing=SoftThreshold(strength=1e-6))
    result = compress(
        convolutional(),
        task(),
        method,
        training=Training(epochs=2, keep_best=False),
        latency=False,
        accelerate=False,
        progress=False,
    )
    assert result.report["forced"] == 11
    assert any("had not come to zero" in note for note in result.notes)


def test_the_stages_are_in_order() -> None:
    with pytest.raises(SettingError, match=r"warm_up is 0\.8"):
        UnitsToZero(warm_up=0.8)


def test_one_unit_of_every_layer_stays() -> None:
    space = UnitSpace(convolutional(), task().example())
    redundancy = torch.cat([torch.full((10,), 9.0), torch.arange(12.0)])
    chosen = space.choose(redundancy, 0.6, 0.05)
    assert (chosen < 10).sum() == 9
    assert chosen.tolist() == sorted(chosen.tolist(), key=lambda number: -redundancy[number])


@pytest.mark.parametrize("name", ["one", "three", "five", "left", "middle", "right"])
def test_an_erased_network_equals_the_zeroed_one(name: str) -> None:
    torch.manual_seed(0)
    model, (x,) = Branched(), task().example()
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer))
    model.eval()
    space = OperatorSpace(model, (x,))
    assert [branch.name for branch in space.branches] == ["one", "three", "five", "left", "middle", "right"]
    zero = torch.tensor([branch.name == name for branch in space.branches])
    parameters = {key: value.detach() for key, value in model.named_parameters()}
    for block, gone in zip(space.blocks, zero, strict=True):
        block.silence_(parameters, gone[None])
    with torch.no_grad():
        expected = model(x)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        space.cut(zero, optimizer)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)
    assert type(model) is Branched
    assert isinstance(getattr(model, name), Erased)
    assert not any(key.startswith(f"{name}.") for key in model.state_dict())
    assert {id(p) for p in model.parameters()} == {id(p) for group in optimizer.param_groups for p in group["params"]}
    widths = {"left": 9, "middle": 8, "right": 7}
    assert model.norm.num_features == model.head.in_features == widths.get(name, 12)
    assert space.share < 1.0


def test_what_is_erased_depends_on_what_is_left_and_comes_back_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    result = compress(
        Branched(),
        task(),
        OperatorsToZero(sparsity=2 / 3),
        training=Training(epochs=5, keep_best=False),
        latency=False,
        accelerate=False,
        progress=False,
    )
    erased = set(result.report["erased"])
    assert len(erased) == 4
    assert not {"one", "three", "five"} <= erased
    assert not {"left", "middle", "right"} <= erased
    assert result.report["difference"] < 1e-5
    assert result.cost.parameters < 0.7 * result.cost_before.parameters
    kinds = {change.layer: change.joint for change in changes.found(result.model) if isinstance(change, EraseModule)}
    assert kinds == {name: "add" if name in {"one", "three", "five"} else "cat" for name in erased}
    result.save(tmp_path / "net")
    again = gossamer.load(tmp_path / "net", model=Branched())
    (x,) = task().example()
    assert torch.equal(again(x), result.model(x))


def test_branches_chosen_at_random_leave_a_network_too() -> None:
    torch.manual_seed(1)
    method = OperatorsToZero(sparsity=2 / 3, redundancy=Chance())
    result = compress(
        Branched(), task(), method, training=Training(epochs=0), latency=False, accelerate=False, progress=False
    )
    assert len(result.report["erased"]) == 4


def test_kept_operators_stay_and_unknown_patterns_are_refused() -> None:
    space = OperatorSpace(Branched(), task().example(), keep=("three", "l*"))
    assert [branch.name for branch in space.branches] == ["one", "five", "middle", "right"]
    with pytest.raises(SettingError, match="matches no operator"):
        OperatorSpace(Branched(), task().example(), keep=("stem",))


def test_a_network_without_branches_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no operator of Sequential can be erased: no sum or concatenation"):
        OperatorsToZero().start(convolutional(), task(), epochs=1)


def test_an_operator_that_zeros_do_not_silence_stays() -> None:
    class Loud(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.softmax(self.one(x), -1) + self.two(x))

    space = OperatorSpace(Loud(), (torch.randn(3, 4),))
    assert [branch.name for branch in space.branches] == ["two"]
    assert space.refused == {"one": "zeros in its weights do not silence it"}
