"""Losses of distillation against their formulas, and a task that adds one."""

import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import nn

from gossamer.compression import compress, method
from gossamer.distill import Distilled, SoftTargets, attention, hint, logits, soft_targets
from gossamer.errors import ModelError
from gossamer.tasks import ImageClassification, Images
from gossamer.train import Training


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_targets_are_a_divergence_times_the_squared_temperature(temperature):
    student, teacher = pair(6, 5)
    p, q = (softmax(side.double().numpy() / temperature, -1) for side in (teacher, student))
    wanted = temperature**2 * rel_entr(p, q).sum(-1).mean()
    assert float(soft_targets(student, teacher, temperature)) == pytest.approx(wanted, rel=1e-5)
    assert float(soft_targets(teacher, teacher, temperature)) == pytest.approx(0.0, abs=1e-6)


def test_at_high_temperature_soft_targets_compare_centred_logits():
    student, teacher = (side - side.mean(-1, keepdim=True) for side in pair(6, 5))
    high = float(soft_targets(student.double(), teacher.double(), 1000.0))
    assert high == pytest.approx(float(logits(student, teacher)) / 5, rel=1e-2)  # Hinton et al., section 2.1


def test_hints_and_attention_by_hand():
    student, teacher = pair(2, 3, 4, 4)
    assert float(hint(student, teacher)) == pytest.approx(0.5 * float(((student - teacher) ** 2).sum()) / 2, rel=1e-5)
    assert float(attention(3 * teacher, teacher)) == pytest.approx(0.0, abs=1e-6)  # the length does not count
    maps = [(side**2).mean(1).flatten(1) for side in (student, teacher)]
    wanted = torch.stack([maps[0][i] / maps[0][i].norm() - maps[1][i] / maps[1][i].norm() for i in range(2)]).norm(
        dim=1
    )
    assert float(attention(student, teacher)) == pytest.approx(float(wanted.mean()), rel=1e-5)


def test_a_teacher_gets_no_gradient():
    student, teacher = (side.requires_grad_() for side in pair(3, 4, 2, 2))
    (hint(student, teacher) + attention(student, teacher) + logits(student, teacher)).backward()
    soft_targets(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None


def small_task() -> ImageClassification:
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(60) % 3
    x = torch.randn(60, 1, 4, 4, generator=generator)
    x[torch.arange(60), 0, y, y] += 3.0
    return ImageClassification(Images(x[:40], y[:40], x[40:], y[40:], 3), batch_size=20, example_batch=4)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def test_a_distilled_task_mixes_both_losses():
    task, student, teacher = small_task(), net(), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    how = SoftTargets(weight=0.6, temperature=3.0)
    distilled = Distilled(task, teacher, how)
    batch = next(task.batches("train"))
    x = task.example()[0]
    with torch.no_grad():
        plain = float(task.loss(student, batch))
    seen = []
    handle = student.register_forward_hook(lambda module, args, out: seen.append((args[0], out)))
    found = float(distilled.loss(student, batch).detach())
    handle.remove()
    inputs, answers = seen[0]
    wanted = 0.4 * plain + 0.6 * float(soft_targets(answers, teacher(inputs), 3.0).detach())
    assert found == pytest.approx(wanted, rel=1e-5)
    assert not student._forward_hooks
    assert distilled.evaluate(student, "val") == task.evaluate(student, "val")
    torch.testing.assert_close(distilled.example()[0], x)
    assert distilled.dimensions() == task.dimensions()


def test_a_student_of_its_own_kind_comes_to_answer_like_the_teacher():
    task, teacher = small_task(), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distilled = Distilled(task, teacher, SoftTargets(weight=1.0))
    result = compress(
        net(), distilled, method("dense"), training=Training(epochs=60), latency=False, accelerate=False, progress=False
    )
    x = task.example()[0]
    plain = compress(
        net(), task, method("dense"), training=Training(epochs=60), latency=False, accelerate=False, progress=False
    )
    with torch.no_grad():
        apart = [float(soft_targets(one.model(x), teacher(x))) for one in (result, plain)]
    assert apart[0] < 0.1 * apart[1]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_a_loss_that_calls_the_network_twice_is_refused():
    task = small_task()
    once = task.loss
    task.loss = lambda model, batch: once(model, batch) + once(model, batch)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="2 times"):
        Distilled(task, net()).loss(net(), next(task.batches("train")))


@pytest.mark.parametrize("shapes", [((4, 1), (4, 1)), ((4, 3), (4, 2)), ((3,), (3,))])
def test_answers_that_are_no_classes_are_refused(shapes):
    with pytest.raises(ModelError, match="two classes or more"):
        soft_targets(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
