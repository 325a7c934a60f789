from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.kernels import Steps
from gossamer.nn.shapes import check_convolution, check_images, check_width, linear_arrays


def test_layers_that_are_not_what_they_should_be_are_named():
    with pytest.raises(ModelError, match=r"expected a linear layer with a weight \(outputs, inputs\), found Conv2d"):
        linear_arrays(nn.Conv2d(2, 2, 1))
    with pytest.raises(ModelError, match="Layer: padding='same', padding_mode='zeros'; expected zero padding"):
        check_convolution("Layer", nn.Conv2d(2, 2, 3, padding="same"))
    weight, bias = linear_arrays(nn.Linear(3, 2, bias=False))
    assert weight.shape == (2, 3)
    assert not weight.requires_grad
    assert bias is None


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ModelError, match="input has 5 features, expected 4"):
        check_width(torch.ones(2, 5), 4)
    with pytest.raises(ModelError, match=r"expected \(N, 3, H, W\), found \(1, 4, 5, 5\)"):
        check_images(torch.ones(1, 4, 5, 5), 3, Steps((3, 3)))
    with pytest.raises(ModelError, match="the kernel reaches beyond the padded image"):
        check_images(torch.ones(1, 3, 2, 5), 3, Steps((3, 3)))
    check_images(torch.ones(3, 1, 5), 3, Steps((3, 3), padding=(1, 0)))
