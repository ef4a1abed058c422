"""Torchvision's ImageNet networks under this bench's names, with fresh weights."""

from torch import nn

from lossbench.errors import UsageError
from lossbench.models.registry import model

_TORCHVISION = {
    "resnet18-imagenet": "resnet18",
    "resnet34-imagenet": "resnet34",
    "resnet50-imagenet": "resnet50",
    "resnet101-imagenet": "resnet101",
    "resnext50-imagenet": "resnext50_32x4d",
    "resnext101-imagenet": "resnext101_32x8d",
    "shufflenet-v2-imagenet": "shufflenet_v2_x1_0",
}


def _register(name: str, torchvision_name: str) -> None:
    @model(name, f"torchvision's {torchvision_name}, for images of 64x64 and larger", takes="images")
    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        if shape[0] != 3:
            raise UsageError(f"model {name} takes colour images of 3 channels, got {shape[0]}")
        # torchvision costs more than a second to import, and only these networks need it.
        from torchvision import models

        network: nn.Module = models.get_model(torchvision_name, weights=None, num_classes=classes)
        return network


for _name, _torchvision_name in _TORCHVISION.items():
    _register(_name, _torchvision_name)
