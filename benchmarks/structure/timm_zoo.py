"""Image networks of the `timm` package, the smallest of each family, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Case = Callable[[], tuple[nn.Module, Any]]

_AT_64 = (
    *("resnet10t", "resnet26d", "resnext26ts", "skresnet18", "resnest14d", "res2net50_48w_2s", "dla34"),
    *("densenet121", "vgg11_bn", "dpn48b", "hrnet_w18_small", "ese_vovnet19b_slim", "cspresnet50", "darknet53"),
    *(
        "selecsls42",
        "regnetx_002",
        "regnety_002",
        "nf_regnet_b0",
        "mobilenetv3_small_050",
        "mnasnet_small",
        "lcnet_050",
    ),
    *("tinynet_e", "ghostnet_050", "mixnet_s", "efficientnet_b0", "tf_efficientnet_lite0", "rexnet_100", "fbnetc_100"),
    *(
        "hardcorenas_a",
        "mobileone_s0",
        "repvgg_a0",
        "convnext_atto",
        "convmixer_768_32",
        "xception41",
        "legacy_xception",
    ),
    *("edgenext_xx_small", "repvit_m0_9", "starnet_s1", "mobilenetv4_conv_small", "efficientvit_b0", "fastvit_t8"),
    *("gernet_s", "resnetv2_50", "nf_resnet26", "lambda_resnet26t"),
    *("poolformer_s12", "inception_next_atto", "caformer_s18", "convformer_s18", "focalnet_tiny_srf", "vovnet39a"),
)
_AT_OWN = (
    *("vit_tiny_patch16_224", "deit_tiny_patch16_224", "pit_ti_224", "xcit_nano_12_p16_224", "cait_xxs24_224"),
    *("mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224", "convit_tiny", "crossvit_tiny_240", "twins_svt_small"),
    *("swin_tiny_patch4_window7_224", "levit_128s", "visformer_tiny", "coat_tiny", "mvitv2_tiny", "tiny_vit_5m_224"),
    *("efficientformer_l1", "efficientvit_m0", "hiera_tiny_224", "eva02_tiny_patch14_224", "nest_tiny", "gcvit_xxtiny"),
    *(
        "davit_tiny",
        "maxvit_rmlp_pico_rw_256",
        "sequencer2d_s",
        "inception_v3",
        "tnt_s_legacy_patch16_224",
        "volo_d1_224",
    ),
    *("efficientformerv2_s0", "pvt_v2_b0", "mobilevit_xxs"),
)


def cases() -> dict[str, Case]:
    """Returns a factory of (network, example) by name."""
    return {f"timm/{name}": _case(name, 64 if name in _AT_64 else None) for name in (*_AT_64, *_AT_OWN)}


def _case(name: str, size: int | None) -> Case:
    def make() -> tuple[nn.Module, Any]:
        import timm

        network = timm.create_model(name, num_classes=5)
        side = size or network.default_cfg["input_size"][-1]
        with torch.no_grad():  # so that no branch starts at zero
            for parameter in network.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        return network.eval(), torch.randn(2, 3, side, side)

    return make
