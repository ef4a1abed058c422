"""A small vision transformer (Dosovitskiy et al., arXiv 2010.11929) for small images."""

import torch
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.registry import model

__all__ = ["VisionTransformer"]


class Layer(nn.Module):
    """Self-attention and a two-layer network, each behind its own normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # [N, T, 3, heads, width / heads]
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(seen))
        x = x + self.dropout(self.mlp(self.norm2(x)))
        return x


class VisionTransformer(nn.Module):
    """Square patches as tokens, a class token, learned positions, and a linear layer on the class token."""

    def __init__(
        self, shape: tuple[int, ...], classes: int, *, patch: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        channels, height, across = shape
        tokens = (height // patch) * (across // patch)
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, tokens + 1, width))
        self.layers = nn.Sequential(*(Layer(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.positions, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1) + self.positions
        logits: Tensor = self.head(self.norm(self.layers(x))[:, 0])
        return logits


@model("vit-tiny-cifar", "ViT of width 192, 12 layers, 3 heads, patches of 4x4, for 32x32 images", takes="images")
def vit_tiny(shape: tuple[int, ...], classes: int, *, dropout: float) -> nn.Module:
    if shape[1] % 4 or shape[2] % 4:
        raise UsageError(f"model vit-tiny-cifar cuts images into patches of 4x4; {shape[1]}x{shape[2]} does not divide")
    return VisionTransformer(shape, classes, patch=4, width=192, depth=12, heads=3, dropout=dropout)
