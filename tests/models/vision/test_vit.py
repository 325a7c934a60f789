"""The vision transformer: attention against torch's module, positions, and sizes that do not fit."""

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.models.vision import ViT


def test_a_block_is_torchs_pre_norm_encoder_layer():
    block = ViT(1, 10, image_size=8).blocks[0].eval()
    twin = nn.TransformerEncoderLayer(
        64, 4, 256, activation="gelu", batch_first=True, norm_first=True, dropout=0.1
    ).eval()
    pairs = {
        "self_attn.in_proj_": block.project,
        "self_attn.out_proj.": block.merge,
        "linear1.": block.widen,
        "linear2.": block.narrow,
        "norm1.": block.norm1,
        "norm2.": block.norm2,
    }
    twin.load_state_dict(
        {prefix + key: value for prefix, module in pairs.items() for key, value in module.state_dict().items()}
    )
    tokens = torch.randn(2, 5, 64)
    torch.testing.assert_close(block(tokens), twin(tokens), rtol=1e-4, atol=1e-5)


def test_a_vit_without_positions_does_not_see_the_order_of_patches():
    model = ViT(1, 10, image_size=8).eval()
    image = torch.rand(1, 1, 8, 8)
    swapped = image.roll(4, dims=3)  # two by two patches: left and right change places
    assert not torch.allclose(model(image), model(swapped), atol=1e-5)
    with torch.no_grad():
        model.position.zero_()
    torch.testing.assert_close(model(image), model(swapped), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 30}, "image_size is 30; expected a multiple of the patch size 4"),
        ({"hidden": 30}, "hidden is 30; expected a multiple of the 4 heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        ViT(3, 10, **arguments)
