"""Networks on images: `model(x)` maps (B, C, H, W) to one row of class scores per image."""

from gossamer.models.vision.lenet import LeNet as LeNet
from gossamer.models.vision.mixer import Mixer as Mixer
from gossamer.models.vision.resnet import ResNet as ResNet
from gossamer.models.vision.swin import Swin as Swin
from gossamer.models.vision.vgg import VGG16 as VGG16
from gossamer.models.vision.vit import ViT as ViT

__all__ = ["VGG16", "LeNet", "Mixer", "ResNet", "Swin", "ViT"]
