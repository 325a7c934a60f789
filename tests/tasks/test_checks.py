import pytest
import torch

from gossamer.errors import DataError, ModelError
from gossamer.graph import CSR
from gossamer.tasks import checks


def test_finite_features_pass_dense_and_sparse():
    checks.check_features(torch.eye(3), 3)
    checks.check_features(CSR.from_dense(torch.eye(3)), 3)
    checks.check_features(CSR(torch.tensor([0, 1]), torch.tensor([0]), shape=(1, 2)), 1)  # values None = ones


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("sparse", [False, True])
def test_values_that_are_not_finite_are_counted_and_the_first_is_located(bad, sparse):
    x = torch.ones(5, 4)
    x[1] = 0.0  # an empty row before the bad one, so that rows and entries differ
    x[2, 3] = x[4, 0] = bad
    with pytest.raises(DataError, match=r"2 values .* first at node 2, column 3"):
        checks.check_features(CSR.from_dense(x) if sparse else x, 5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(4, 2), "4 rows for 5 nodes"),
        (torch.ones(5), "expected \\(5, columns\\)"),
        (torch.ones(5, 0), "at least one column"),
        (torch.ones(5, 2, dtype=torch.int64), "int64, expected floating point"),
        ([[1.0]] * 5, "found list"),
    ],
)
def test_features_of_another_form_are_refused(x, message):
    with pytest.raises(DataError, match=message):
        checks.check_features(x, 5)


def test_labels_give_the_number_of_classes():
    assert checks.check_labels(torch.tensor([0, 3, 1]), 3) == 4
    assert checks.check_labels(torch.tensor([0, 3, 1]), 3, classes=9) == 9
    # -1 means unknown and is not looked at outside the splits.
    assert checks.check_labels(torch.tensor([0, -1, 1]), 3, used=torch.tensor([True, False, True])) == 2


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (torch.tensor([0, 1, 7, 9]), 7, r"2 are out of range, the first at row 2 with value 7; expected 0..6"),
        (torch.tensor([0, -1, 1, 2]), None, r"first at row 1 with value -1; expected 0..2"),
        (torch.tensor([0.0, 1.0, 1.0, 0.0]), None, "float32"),
        (torch.tensor([[0], [1], [1], [0]]), None, r"shape \(4, 1\)"),
        (torch.tensor([0, 1]), None, r"shape \(2,\), expected integers of shape \(4,\)"),
        (None, None, "NoneType"),
    ],
)
def test_labels_out_of_range_or_form_are_refused(y, classes, message):
    with pytest.raises(DataError, match=message):
        checks.check_labels(y, 4, classes=classes)


def test_masks_of_wrong_size_type_or_content_are_refused():
    yes, no = torch.tensor([True, False, False]), torch.tensor([False, True, False])
    checks.check_masks({"train": yes, "val": no, "test": torch.zeros(3, dtype=torch.bool)}, 3)
    with pytest.raises(DataError, match=r"val mask: found torch.bool of shape \(2,\)"):
        checks.check_masks({"train": yes, "val": no[:2]}, 3)
    with pytest.raises(DataError, match=r"val mask: found torch.int64"):
        checks.check_masks({"train": yes, "val": torch.tensor([0, 1, 2])}, 3)
    with pytest.raises(DataError, match="train mask: no row"):
        checks.check_masks({"train": torch.zeros(3, dtype=torch.bool), "val": no}, 3)
    with pytest.raises(DataError, match=r"1 rows are in both the train and the test split, the first is row 0"):
        checks.check_masks({"train": yes, "val": no, "test": yes}, 3)


def test_outputs_of_another_shape_are_refused_with_a_hint():
    words = {"rows": "node", "columns": "class", "hint": "do this"}
    out = torch.ones(3, 2)
    assert checks.check_output(out, (3, 2), **words) is out
    assert checks.check_output(out, (3, None), **words) is out
    for wrong, found in [(out, r"\(3, 2\)"), (out[0], r"\(2,\)"), ((out, out), "a tuple"), (None, "a NoneType")]:
        with pytest.raises(ModelError, match=rf"returned .*{found}, expected .* \(4, 2\).*one row a node.*do this"):
            checks.check_output(wrong, (4, 2), **words)
