"""What is known of items beside their ids, put together with their id vectors.

Each fusion takes id vectors (..., D) and ids (...), and returns item vectors (..., D). None has a bias, so that
padding, of which nothing is known, stays zero. V items with padding, F numbers of a frozen feature, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from benchmark.data.lists import Lists
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.data.side import Side, Tags
    from benchmark.settings import Settings

POPULARITY_LEVELS = 10


def feature_fusion(settings: Settings, side: Side) -> FeatureFusion:
    """Fuse ids with the release's frozen features of the name in the settings."""
    return FeatureFusion(side.features(settings.features), settings.width, concatenates=settings.fusion == "concat")


class FeatureFusion(nn.Module):
    """Id vectors and projected features: added, or side by side through a matrix. The features stay as they are."""

    def __init__(self, features: Tensor, width: int, *, concatenates: bool) -> None:
        super().__init__()
        self.register_buffer("features", normalize(centred(features)), persistent=False)
        self.project = nn.Linear(features.shape[1], width, bias=False)
        nn.init.normal_(self.project.weight, std=width**-0.5)  # of a unit row: as long as an id vector
        self.join = nn.Linear(2 * width, width, bias=False) if concatenates else None

    def forward(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Take id vectors (..., D) and ids (...); return item vectors (..., D)."""
        content = self.project(self.get_buffer("features")[items])
        return vectors + content if self.join is None else self.join(torch.cat([vectors, content], -1))


def centred(features: Tensor) -> Tensor:
    """Take their mean off the features (V, F) that there are; rows of zeros, of items without any, stay zero.

    Encoders put everything into a narrow cone: what tells items apart is what is left without the mean.
    """
    has_some = features.any(1, keepdim=True)
    return (features - features.sum(0) / has_some.sum().clamp(min=1)) * has_some


class MeanFusion(nn.Module):
    """The mean of the id vector and of a vector of each part, as in Table 11 of the MicroLens paper."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Take id vectors (..., D) and ids (...); return item vectors (..., D)."""
        return torch.stack([vectors, *(part(items) for part in self.parts)]).mean(0)


class PopularityLevel(nn.Module):
    """A vector for each of ten levels of training frequency (V,), as many items in each, the first the most popular."""

    def __init__(self, frequency: Tensor, width: int) -> None:
        super().__init__()
        self.embedding = new_table(POPULARITY_LEVELS + 1, width, padding=0)
        level = torch.zeros_like(frequency)
        ranked = frequency[1:].argsort(descending=True, stable=True) + 1
        level[ranked] = torch.arange(len(ranked), device=level.device) * POPULARITY_LEVELS // len(ranked) + 1
        self.register_buffer("level", level, persistent=False)

    def forward(self, items: Tensor) -> Tensor:
        """Ids (...) to vectors (..., D)."""
        return self.embedding(self.get_buffer("level")[items])


class TagMean(nn.Module):
    """The mean of the vectors of an item's tags; zero where it has none."""

    def __init__(self, tags: Tags, width: int) -> None:
        super().__init__()
        self.embedding = new_table(tags.count + 1, width, padding=0)
        self.register_buffer("ids", tags.of_item.values, persistent=False)
        self.register_buffer("bounds", tags.of_item.bounds, persistent=False)

    def forward(self, items: Tensor) -> Tensor:
        """Ids (...) to vectors (..., D)."""
        tags = Lists(self.get_buffer("ids"), self.get_buffer("bounds")).only(items.flatten())
        found = embedding_bag(tags.values, self.embedding.weight, tags.bounds, mode="mean", include_last_offset=True)
        return found.view(*items.shape, -1)
