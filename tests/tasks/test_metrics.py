import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score
from torch import nn

from gossamer.tasks import metrics


@settings(max_examples=50, deadline=None)
@given(classes=st.integers(2, 6), rows=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_classification_equals_scikit_learn(classes, rows, seed):
    rng = np.random.default_rng(seed)
    logits, y = rng.normal(size=(rows, classes)), rng.integers(classes, size=rows)
    found = metrics.classification(torch.from_numpy(logits), torch.from_numpy(y))
    guess = logits.argmax(axis=1)
    assert list(found) == ["accuracy", "macro_f1"]
    assert found["accuracy"] == pytest.approx(accuracy_score(y, guess))
    assert found["macro_f1"] == pytest.approx(f1_score(y, guess, average="macro"))


def test_classification_with_one_class_only():
    assert metrics.classification(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64)) == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
    }


@settings(max_examples=50, deadline=None)
@given(
    scores=st.lists(st.sampled_from([-200.0, -1.0, 0.0, 0.25, 0.5, 1.0, 90.0, 91.0]), min_size=4, max_size=30),
    data=st.data(),
)
def test_ranking_equals_scikit_learn_with_ties_and_scores_of_any_size(scores, data):
    inner = data.draw(st.lists(st.integers(0, 1), min_size=len(scores) - 2, max_size=len(scores) - 2))
    truth = [0, *inner, 1]
    found = metrics.ranking(torch.tensor(scores), torch.tensor(truth))
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    assert found["average_precision"] == pytest.approx(average_precision_score(truth, scores), abs=1e-6)


def test_scores_that_a_sigmoid_would_tie_keep_their_order():
    found = metrics.ranking(torch.tensor([100.0, 101.0, 102.0, 103.0]), torch.tensor([0, 0, 1, 1]))
    assert found["auroc"] == 1.0


def test_hits_counts_positives_above_the_kth_best_negative():
    positive, negative = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0.8, 0.5, 0.2, 0.0])
    # Thresholds are 0.8, 0.5, 0.2, 0.0; a tie with the threshold is no hit.
    assert [metrics.hits_at(k, positive, negative) for k in (1, 2, 3, 4)] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])


def test_evaluating_restores_each_modules_mode_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model.train()
    model[1].eval()
    inside = []

    def evaluate():
        with metrics.evaluating(model):
            inside.extend(module.training for module in model.modules())
            inside.append(torch.is_grad_enabled())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        evaluate()
    assert inside == [False] * 4
    assert [module.training for module in (model, model[0], model[1])] == [True, True, False]
    assert torch.is_grad_enabled()
