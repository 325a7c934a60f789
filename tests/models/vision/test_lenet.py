"""LeNet: its size worked out by hand, and images that are too small."""

import pytest

from gossamer.errors import ModelError
from gossamer.models.vision import LeNet


def test_the_number_of_parameters():
    # 25 · 6 + 6, 25 · 6 · 16 + 16, 784 · 120 + 120, 120 · 84 + 84, 84 · 10 + 10
    expected = 156 + 2416 + 94200 + 10164 + 850
    assert sum(p.numel() for p in LeNet(1, 10).parameters()) == expected


def test_an_image_that_cannot_be_pooled_twice_is_refused():
    with pytest.raises(ModelError, match="image_size is 3; expected at least 4"):
        LeNet(1, 10, image_size=3)
