"""Architectures of the `transformers` package, small and with random weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Case = Callable[[], tuple[nn.Module, Any]]

_TEXT = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_ENCODER = {**_TEXT, "intermediate_size": 64, "max_position_embeddings": 32, "pad_token_id": 0}
_DECODER = {**_TEXT, "intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 8}
_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_SEQ2SEQ = {
    "vocab_size": 64,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 32,
}
_AUDIO = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (32, 32),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
    "apply_spec_augment": False,
}


def _ids(length: int = 8) -> dict[str, Any]:
    return {"input_ids": torch.randint(3, 64, (2, length)), "attention_mask": torch.ones(2, length).long()}


def _decode() -> dict[str, Any]:
    return {**_ids(), "use_cache": False}


def _both() -> dict[str, Any]:
    return {**_ids(), "decoder_input_ids": torch.randint(3, 64, (2, 6)), "use_cache": False}


def _image(size: int = 32) -> Callable[[], dict[str, Any]]:
    return lambda: {"pixel_values": torch.randn(2, 3, size, size)}


def _wave() -> dict[str, Any]:
    return {"input_values": torch.randn(2, 800)}


# (model class, config class, config, example)
_MODELS: dict[str, tuple[str, str, dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "resnet": (
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [2, 2], "layer_type": "bottleneck", "num_labels": 5},
        _image(),
    ),
    "resnet-basic": (
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 2], "layer_type": "basic", "num_labels": 5},
        _image(),
    ),
    "convnext": (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [16, 32], "depths": [1, 2], "num_stages": 2, "num_labels": 5},
        _image(),
    ),
    "convnextv2": (
        "ConvNextV2ForImageClassification",
        "ConvNextV2Config",
        {"hidden_sizes": [16, 32], "depths": [1, 2], "num_stages": 2, "num_labels": 5},
        _image(),
    ),
    "regnet": (
        "RegNetForImageClassification",
        "RegNetConfig",
        {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 2], "groups_width": 8, "num_labels": 5},
        _image(),
    ),
    "efficientnet": (
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320, "num_labels": 5},
        _image(64),
    ),
    "mobilenet_v1": (
        "MobileNetV1ForImageClassification",
        "MobileNetV1Config",
        {"depth_multiplier": 0.25, "num_labels": 5},
        _image(64),
    ),
    "mobilenet_v2": (
        "MobileNetV2ForImageClassification",
        "MobileNetV2Config",
        {"depth_multiplier": 0.35, "num_labels": 5},
        _image(64),
    ),
    "vit": ("ViTForImageClassification", "ViTConfig", {**_VIT, "num_labels": 5}, _image()),
    "deit": ("DeiTForImageClassification", "DeiTConfig", {**_VIT, "num_labels": 5}, _image()),
    "beit": ("BeitForImageClassification", "BeitConfig", {**_VIT, "num_labels": 5, "out_indices": None}, _image()),
    "beit-bias": (
        "BeitForImageClassification",
        "BeitConfig",
        {**_VIT, "num_labels": 5, "use_relative_position_bias": True, "use_mean_pooling": True},
        _image(),
    ),
    "data2vec-vision": (
        "Data2VecVisionForImageClassification",
        "Data2VecVisionConfig",
        {**_VIT, "num_labels": 5},
        _image(),
    ),
    "dinov2": ("Dinov2ForImageClassification", "Dinov2Config", {**_VIT, "num_labels": 5}, _image()),
    "dinov2-swiglu": (
        "Dinov2ForImageClassification",
        "Dinov2Config",
        {**_VIT, "num_labels": 5, "use_swiglu_ffn": True},
        _image(),
    ),
    "dinov3-vit": ("DINOv3ViTModel", "DINOv3ViTConfig", _VIT, _image()),
    "vit-mae": (
        "ViTMAEForPreTraining",
        "ViTMAEConfig",
        {
            **_VIT,
            "decoder_hidden_size": 32,
            "decoder_num_attention_heads": 4,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 64,
        },
        _image(),
    ),
    "vit-msn": ("ViTMSNForImageClassification", "ViTMSNConfig", {**_VIT, "num_labels": 5}, _image()),
    "yolos": (
        "YolosForObjectDetection",
        "YolosConfig",
        {**_VIT, "image_size": [32, 32], "num_detection_tokens": 4, "num_labels": 5},
        _image(),
    ),
    "siglip": (
        "SiglipForImageClassification",
        "SiglipConfig",
        {"text_config": _ENCODER, "vision_config": _VIT, "num_labels": 5},
        _image(),
    ),
    "clip-vision": (
        "CLIPForImageClassification",
        "CLIPConfig",
        {"text_config": _ENCODER, "vision_config": _VIT, "num_labels": 5},
        _image(),
    ),
    "clip-text": ("CLIPTextModel", "CLIPTextConfig", {**_ENCODER, "eos_token_id": 2}, _ids),
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {"text_config": {**_ENCODER, "eos_token_id": 2}, "vision_config": _VIT, "projection_dim": 16},
        lambda: {**_ids(), **_image()()},
    ),
    "swin": (
        "SwinForImageClassification",
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
        _image(),
    ),
    "swinv2": (
        "Swinv2ForImageClassification",
        "Swinv2Config",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
        _image(),
    ),
    "segformer": (
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {
            "num_encoder_blocks": 2,
            "depths": [1, 1],
            "sr_ratios": [2, 1],
            "hidden_sizes": [16, 32],
            "patch_sizes": [7, 3],
            "strides": [4, 2],
            "num_attention_heads": [2, 4],
            "mlp_ratios": [2, 2],
            "decoder_hidden_size": 32,
            "num_labels": 5,
        },
        _image(),
    ),
    "mobilevit": (
        "MobileViTForImageClassification",
        "MobileViTConfig",
        {
            "hidden_sizes": [32, 48, 64],
            "neck_hidden_sizes": [8, 8, 16, 24, 32, 40, 64],
            "num_attention_heads": 4,
            "image_size": 64,
            "num_labels": 5,
        },
        _image(64),
    ),
    "mobilevitv2": (
        "MobileViTV2ForImageClassification",
        "MobileViTV2Config",
        {"width_multiplier": 0.25, "image_size": 64, "num_labels": 5},
        _image(64),
    ),
    "poolformer": (
        "PoolFormerForImageClassification",
        "PoolFormerConfig",
        {"hidden_sizes": [16, 32, 32, 64], "depths": [1, 1, 1, 1], "num_labels": 5},
        _image(64),
    ),
    "pvt": (
        "PvtForImageClassification",
        "PvtConfig",
        {
            "image_size": 32,
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "num_encoder_blocks": 2,
            "num_attention_heads": [2, 4],
            "sequence_reduction_ratios": [2, 1],
            "patch_sizes": [4, 2],
            "strides": [4, 2],
            "mlp_ratios": [2, 2],
            "num_labels": 5,
        },
        _image(),
    ),
    "levit": (
        "LevitForImageClassification",
        "LevitConfig",
        {
            "image_size": 64,
            "hidden_sizes": [32, 48, 64],
            "num_attention_heads": [2, 3, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
            "num_labels": 5,
        },
        _image(64),
    ),
    "focalnet": (
        "FocalNetForImageClassification",
        "FocalNetConfig",
        {
            "image_size": 32,
            "embed_dim": 16,
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "num_labels": 5,
        },
        _image(),
    ),
    "bit": (
        "BitForImageClassification",
        "BitConfig",
        {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 8, "num_labels": 5},
        _image(),
    ),
    "hgnet_v2": (
        "HGNetV2ForImageClassification",
        "HGNetV2Config",
        {
            "embedding_size": 32,
            "depths": [1, 1],
            "hidden_sizes": [32, 64],
            "stem_channels": [3, 16, 32],
            "stage_in_channels": [32, 32],
            "stage_mid_channels": [16, 32],
            "stage_out_channels": [32, 64],
            "stage_num_blocks": [1, 1],
            "stage_downsample": [False, True],
            "stage_light_block": [False, True],
            "stage_kernel_size": [3, 5],
            "stage_numb_of_layers": [2, 2],
            "num_labels": 5,
        },
        _image(),
    ),
    "swiftformer": (
        "SwiftFormerForImageClassification",
        "SwiftFormerConfig",
        {"embed_dims": [16, 32, 32, 64], "depths": [1, 1, 1, 1], "num_labels": 5, "image_size": 64},
        _image(64),
    ),
    "bert": ("BertForSequenceClassification", "BertConfig", {**_ENCODER, "num_labels": 5}, _ids),
    "bert-mlm": ("BertForMaskedLM", "BertConfig", _ENCODER, _ids),
    "bert-eager": (
        "BertForSequenceClassification",
        "BertConfig",
        {**_ENCODER, "num_labels": 5, "attn_implementation": "eager"},
        _ids,
    ),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", {**_ENCODER, "num_labels": 5}, _ids),
    "camembert": ("CamembertForSequenceClassification", "CamembertConfig", {**_ENCODER, "num_labels": 5}, _ids),
    "electra": (
        "ElectraForSequenceClassification",
        "ElectraConfig",
        {**_ENCODER, "embedding_size": 16, "num_labels": 5},
        _ids,
    ),
    "mpnet": ("MPNetForSequenceClassification", "MPNetConfig", {**_ENCODER, "num_labels": 5}, _ids),
    "distilbert": (
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {
            "vocab_size": 64,
            "dim": 32,
            "hidden_dim": 64,
            "n_layers": 2,
            "n_heads": 4,
            "num_labels": 5,
            "max_position_embeddings": 32,
        },
        _ids,
    ),
    "albert": (
        "AlbertForSequenceClassification",
        "AlbertConfig",
        {**_ENCODER, "embedding_size": 16, "num_labels": 5},
        _ids,
    ),
    "deberta-v2": ("DebertaV2ForSequenceClassification", "DebertaV2Config", {**_ENCODER, "num_labels": 5}, _ids),
    "squeezebert": (
        "SqueezeBertForSequenceClassification",
        "SqueezeBertConfig",
        {**_ENCODER, "embedding_size": 32, "num_labels": 5},
        _ids,
    ),
    "mobilebert": (
        "MobileBertForSequenceClassification",
        "MobileBertConfig",
        {
            **_ENCODER,
            "embedding_size": 16,
            "intra_bottleneck_size": 32,
            "hidden_size": 64,
            "num_feedforward_networks": 2,
            "num_labels": 5,
        },
        _ids,
    ),
    "fnet": (
        "FNetForSequenceClassification",
        "FNetConfig",
        {**{k: v for k, v in _ENCODER.items() if "heads" not in k}, "num_labels": 5},
        lambda: {"input_ids": _ids()["input_ids"]},
    ),
    "roformer": (
        "RoFormerForSequenceClassification",
        "RoFormerConfig",
        {**_ENCODER, "embedding_size": 32, "num_labels": 5},
        _ids,
    ),
    "modernbert": (
        "ModernBertForSequenceClassification",
        "ModernBertConfig",
        {**_ENCODER, "num_labels": 5, "global_attn_every_n_layers": 2, "local_attention": 4},
        _ids,
    ),
    "esm": (
        "EsmForSequenceClassification",
        "EsmConfig",
        {**_ENCODER, "num_labels": 5, "position_embedding_type": "rotary", "mask_token_id": 4},
        _ids,
    ),
    "xlnet": (
        "XLNetForSequenceClassification",
        "XLNetConfig",
        {"vocab_size": 64, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, "num_labels": 5},
        lambda: {"input_ids": _ids()["input_ids"]},
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32},
        _decode,
    ),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        "GPTNeoConfig",
        {
            "vocab_size": 64,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 32,
        },
        _decode,
    ),
    "gptj": (
        "GPTJForCausalLM",
        "GPTJConfig",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32, "rotary_dim": 4},
        _decode,
    ),
    "gpt_neox": (
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        {**_TEXT, "intermediate_size": 64, "max_position_embeddings": 32},
        _decode,
    ),
    "gpt_bigcode": (
        "GPTBigCodeForCausalLM",
        "GPTBigCodeConfig",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32},
        _decode,
    ),
    "codegen": (
        "CodeGenForCausalLM",
        "CodeGenConfig",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32, "rotary_dim": 4},
        _decode,
    ),
    "opt": (
        "OPTForCausalLM",
        "OPTConfig",
        {
            "vocab_size": 64,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "max_position_embeddings": 32,
            "word_embed_proj_dim": 32,
        },
        _decode,
    ),
    "bloom": (
        "BloomForCausalLM",
        "BloomConfig",
        {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4},
        _decode,
    ),
    "falcon": ("FalconForCausalLM", "FalconConfig", {**_TEXT, "multi_query": False}, _decode),
    "mpt": (
        "MptForCausalLM",
        "MptConfig",
        {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 32},
        _decode,
    ),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _DECODER, _decode),
    "llama-eager": ("LlamaForCausalLM", "LlamaConfig", {**_DECODER, "attn_implementation": "eager"}, _decode),
    "mistral": ("MistralForCausalLM", "MistralConfig", _DECODER, _decode),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _DECODER, _decode),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _DECODER, _decode),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", _DECODER, _decode),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", _DECODER, _decode),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", _DECODER, _decode),
    "phi": ("PhiForCausalLM", "PhiConfig", {k: v for k, v in _DECODER.items() if k != "head_dim"}, _decode),
    "phi3": (
        "Phi3ForCausalLM",
        "Phi3Config",
        {k: v for k, v in _DECODER.items() if k != "head_dim"} | {"pad_token_id": 0},
        _decode,
    ),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", {k: v for k, v in _DECODER.items() if k != "head_dim"}, _decode),
    "stablelm": (
        "StableLmForCausalLM",
        "StableLmConfig",
        {k: v for k, v in _DECODER.items() if k != "head_dim"},
        _decode,
    ),
    "cohere": ("CohereForCausalLM", "CohereConfig", {k: v for k, v in _DECODER.items() if k != "head_dim"}, _decode),
    "starcoder2": (
        "Starcoder2ForCausalLM",
        "Starcoder2Config",
        {k: v for k, v in _DECODER.items() if k != "head_dim"},
        _decode,
    ),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**_DECODER, "num_local_experts": 4}, _decode),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        {
            **{k: v for k, v in _DECODER.items() if k != "head_dim"},
            "num_experts": 4,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
        },
        _decode,
    ),
    "mamba": (
        "MambaForCausalLM",
        "MambaConfig",
        {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
        lambda: {"input_ids": _ids()["input_ids"], "use_cache": False},
    ),
    "mamba2": (
        "Mamba2ForCausalLM",
        "Mamba2Config",
        {
            "vocab_size": 64,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "state_size": 8,
            "num_heads": 8,
            "head_dim": 8,
            "n_groups": 2,
            "chunk_size": 4,
        },
        lambda: {"input_ids": _ids()["input_ids"], "use_cache": False},
    ),
    "rwkv": (
        "RwkvForCausalLM",
        "RwkvConfig",
        {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "context_length": 32},
        lambda: {"input_ids": _ids()["input_ids"], "use_cache": False},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
        _both,
    ),
    "t5-gated": (
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": 64,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
        },
        _both,
    ),
    "bart": ("BartForConditionalGeneration", "BartConfig", _SEQ2SEQ, _both),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", _SEQ2SEQ, _both),
    "pegasus": ("PegasusForConditionalGeneration", "PegasusConfig", _SEQ2SEQ, _both),
    "marian": ("MarianMTModel", "MarianConfig", {**_SEQ2SEQ, "pad_token_id": 0, "decoder_start_token_id": 1}, _both),
    "blenderbot": ("BlenderbotForConditionalGeneration", "BlenderbotConfig", _SEQ2SEQ, _both),
    "m2m_100": ("M2M100ForConditionalGeneration", "M2M100Config", _SEQ2SEQ, _both),
    "whisper": (
        "WhisperModel",
        "WhisperConfig",
        {
            **{k: v for k, v in _SEQ2SEQ.items() if k != "max_position_embeddings"},
            "num_mel_bins": 16,
            "max_source_positions": 20,
            "max_target_positions": 16,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        },
        lambda: {
            "input_features": torch.randn(2, 16, 40),
            "decoder_input_ids": torch.randint(3, 64, (2, 6)),
            "use_cache": False,
        },
    ),
    "whisper-encoder": (
        "WhisperForAudioClassification",
        "WhisperConfig",
        {
            **{k: v for k, v in _SEQ2SEQ.items() if k != "max_position_embeddings"},
            "num_mel_bins": 16,
            "max_source_positions": 20,
            "num_labels": 5,
            "pad_token_id": 0,
        },
        lambda: {"input_features": torch.randn(2, 16, 40)},
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2Config", _AUDIO, _wave),
    "hubert": ("HubertForCTC", "HubertConfig", _AUDIO, _wave),
    "wavlm": ("WavLMForCTC", "WavLMConfig", _AUDIO, _wave),
    "ast": (
        "ASTForAudioClassification",
        "ASTConfig",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "patch_size": 8,
            "frequency_stride": 8,
            "time_stride": 8,
            "max_length": 32,
            "num_mel_bins": 16,
            "num_labels": 5,
        },
        lambda: {"input_values": torch.randn(2, 32, 16)},
    ),
    "patchtst": (
        "PatchTSTForPrediction",
        "PatchTSTConfig",
        {
            "num_input_channels": 3,
            "context_length": 32,
            "patch_length": 8,
            "patch_stride": 8,
            "d_model": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "prediction_length": 8,
        },
        lambda: {"past_values": torch.randn(2, 32, 3)},
    ),
    "perceiver": (
        "PerceiverModel",
        "PerceiverConfig",
        {
            "d_model": 16,
            "num_latents": 8,
            "d_latents": 32,
            "num_blocks": 1,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 2,
        },
        lambda: {"inputs": torch.randn(2, 10, 16)},
    ),
}


def cases() -> dict[str, Case]:
    """Returns a factory of (network, example) by name."""
    return {f"hub/{name}": _case(*given) for name, given in _MODELS.items()}


def _case(model: str, config: str, settings: dict[str, Any], example: Callable[[], Any]) -> Case:
    def make() -> tuple[nn.Module, Any]:
        package = importlib.import_module("transformers")
        implementation = settings.get("attn_implementation")
        made = getattr(package, config)(**{key: item for key, item in settings.items() if key != "attn_implementation"})
        if implementation:
            made._attn_implementation = implementation
        network = getattr(package, model)(made)
        with torch.no_grad():  # random weights that are large enough for differences to show
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return network.eval(), example()

    return make
