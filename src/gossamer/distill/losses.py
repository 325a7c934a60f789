"""What a student loses by not answering as its teacher does.

Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015 (soft targets); Ba & Caruana, "Do deep nets
really need to be deep?", NeurIPS 2014 (logits); Romero et al., "FitNets", ICLR 2015, equation 3 (hints); Zagoruyko &
Komodakis, "Paying more attention to attention", ICLR 2017, equation 2 (attention transfer).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import ModelError


def soft_targets(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """Returns T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over rows, a scalar.

    T² makes its gradients as large as those of a loss on labels, whatever T is.

    Args:
        student: (..., classes) logits.
        teacher: (..., classes) logits.
        temperature: T, above 0.

    Raises:
        ModelError: There is one class only, for which every softmax is 1, or the shapes differ.
    """
    if student.shape != teacher.shape or student.dim() < 2 or student.shape[-1] < 2:
        raise ModelError(
            f"soft targets: the student gives {tuple(student.shape)}, the teacher {tuple(teacher.shape)}; expected the "
            "same (..., classes) with two classes or more"
        )
    wanted = F.log_softmax(teacher.detach().flatten(0, -2) / temperature, -1)
    answers = F.log_softmax(student.flatten(0, -2) / temperature, -1)
    return temperature**2 * F.kl_div(answers, wanted, reduction="batchmean", log_target=True)


def logits(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns half of the squared distance of logits (..., classes), the mean over rows, a scalar."""
    return 0.5 * (student - teacher.detach()).square().sum(-1).mean()


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns half of the squared distance of features of the same shape (B, ...), the mean over the batch, a scalar.

    Where the widths differ, a layer of the caller's brings the student's to the teacher's first.
    """
    return 0.5 * (student - teacher.detach()).square().flatten(1).sum(1).mean()


def attention(student: Tensor, teacher: Tensor) -> Tensor:
    """Returns ‖Q_s / ‖Q_s‖ - Q_t / ‖Q_t‖‖, the mean over the batch, a scalar.

    Q is the mean square over the channels of features (B, C, H, W), of which the two may have differently many.
    """
    maps = [F.normalize(features.square().mean(1).flatten(1), dim=1) for features in (student, teacher.detach())]
    apart: Tensor = (maps[0] - maps[1]).norm(dim=1)
    return apart.mean()
