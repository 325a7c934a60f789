"""Turns outputs and truth into named numbers.

torchmetrics counts for the classes; it is imported on first use, because it takes longer to import than a small task
takes to train. A ranking is counted here, from one sort: millions of scores are ranked after every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts the whole model into eval mode without gradients, and afterwards each module back as it was.

    `no_grad` rather than `inference_mode`: what a graph caches in here must still serve the next training
    step.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def classification(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Returns accuracy and macro-F1 (over the classes that occur in truth or prediction).

    Args:
        logits: (N, C).
        labels: (N,) in 0..C-1.
    """
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    classes = logits.shape[1]
    confusion = (
        multiclass_confusion_matrix(logits.argmax(dim=1), labels, num_classes=max(classes, 2), validate_args=False)
        .cpu()
        .double()
    )
    hits = confusion.diagonal()
    either = confusion.sum(dim=0) + confusion.sum(dim=1)  # true + predicted = 2 tp + fp + fn
    occurs = either > 0
    return {
        "accuracy": float(hits.sum() / confusion.sum()),
        "macro_f1": float((2 * hits[occurs] / either[occurs]).mean()),
    }


def ranking(scores: Tensor, truth: Tensor) -> dict[str, float]:
    """Returns `rankings` of all scores alone."""
    return rankings(scores, truth)[0]


def rankings(scores: Tensor, truth: Tensor, *parts: Tensor) -> list[dict[str, float]]:
    """Returns the area under the ROC curve and the average precision, of all scores and then of each part of them.

    Only the order of the scores counts, and one sort serves all.

    With scores in falling order, ties together, P_i and N_i of the positives and negatives among the first i:

        area = Σ (P_i + P_{i-1}) / 2 · (N_i − N_{i-1}) / (P N),    precision = Σ (P_i − P_{i-1}) / P · P_i / (P_i + N_i)

    Args:
        scores: (N,) higher = more likely positive; any range.
        truth: (N,) 0 or 1; where one of them does not occur, the numbers that need it are 0.
        parts: (N,) bool each: the scores that belong to a part.
    """
    wide = torch.promote_types(scores.dtype, torch.float32)  # NumPy has no bfloat16
    flat, hit = scores.detach().cpu().to(wide).numpy(), truth.cpu().numpy() > 0
    order = np.argsort(-flat)
    chosen = (part.cpu().numpy()[order] for part in parts)
    return [_ranking(flat, hit, some) for some in (order, *(order[part] for part in chosen))]


def _ranking(flat: Array, hit: Array, order: Array) -> dict[str, float]:
    """Returns the metrics of the scores at `order`, the highest first."""
    falling = flat[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of the scores that tie
    found = np.cumsum(hit[order], dtype=np.int64)[ends].astype(np.float64)
    missed = ends + 1 - found
    steps = np.diff(found, prepend=0.0)
    positives, negatives = max(found[-1], 1.0), max(missed[-1], 1.0)
    return {
        "auroc": float((found - steps / 2) @ np.diff(missed, prepend=0.0) / (positives * negatives)),
        "average_precision": float(steps @ (found / (ends + 1)) / positives),
    }


def hits_at(k: int, positive: Tensor, negative: Tensor) -> float:
    """Returns the fraction of positives that score above the k-th best negative (Hu et al. 2020, OGB).

    Args:
        k: At least 1 and at most the number of negatives.
        positive: (P,) scores of true edges.
        negative: (Q,) scores of others, Q ≥ k.
    """
    threshold = negative.topk(k).values[-1]
    return float((positive > threshold).double().mean())
