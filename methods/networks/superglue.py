"""SuperGlue: keypoints matched by attention and optimal transport (Sarlin et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imedbench.methods.networks.keypoints import Keypoints
from imedbench.methods.networks.sinkhorn import log_assignment


@dataclass(frozen=True)
class SuperGlueConfig:
    """Sizes of the network; the defaults are the paper's.

    Args:
        descriptor_dim: length of the keypoints' descriptors.
        width: features of a keypoint inside the network; where it differs from
            ``descriptor_dim``, one linear layer brings descriptors to it.
        encoder_sizes: hidden layers of the position encoder.
        layers: pairs of self- and cross-attention.
        heads: attention heads.
        sinkhorn_iterations: of the optimal transport.
        descriptor_weight: of the descriptors' own cosine beside what attention makes of them; 0 is
            the paper's. Where attention errs, what the descriptors say still counts.
    """

    descriptor_dim: int = 256
    width: int = 256
    encoder_sizes: tuple[int, ...] = (32, 64, 128, 256)
    layers: int = 9
    heads: int = 4
    sinkhorn_iterations: int = 100
    descriptor_weight: float = 0.0


@dataclass(frozen=True, eq=False)
class PointMatches:
    """Mutually best matches.

    Args:
        index: B×M, the matched point of the second set for each of the first; -1 for none.
        scores: B×M in [0, 1], zero where there is none.
    """

    index: Tensor
    scores: Tensor


class PointMLP(nn.Sequential):
    """Linear layers over points with batch norm and ReLU between them."""

    def __init__(self, sizes: tuple[int, ...]):
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            layers += [nn.Linear(inputs, outputs), PointNorm(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Linear(sizes[-2], sizes[-1]))


class PointNorm(nn.BatchNorm1d):
    """Batch norm over points held as B×K×C."""

    def forward(self, x: Tensor) -> Tensor:
        """B×K×C to B×K×C."""
        return super().forward(x.flatten(0, 1)).view_as(x)


class Propagation(nn.Module):
    """One message from a set of points to another (or to itself), added by the caller."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.merge = nn.Linear(width, width)
        self.mlp = PointMLP((2 * width, 2 * width, width))
        self.heads = heads

    def forward(self, x: Tensor, source: Tensor, valid: Tensor) -> Tensor:
        """Return the change of ``x`` after looking at ``source``.

        Args:
            x: B×M×C.
            source: B×N×C.
            valid: bool B×N, which points of the source count.

        Returns:
            B×M×C.
        """
        message = F.scaled_dot_product_attention(
            self._split(self.query(x)),
            self._split(self.key(source)),
            self._split(self.value(source)),
            attn_mask=valid[:, None, None, :],
        )
        message = self.merge(message.transpose(1, 2).flatten(2))
        out: Tensor = self.mlp(torch.cat((x, message), dim=2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """B×K×C to B×heads×K×(C / heads)."""
        return x.view(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)


class SuperGlue(nn.Module):
    """The network of the paper.

    Args:
        config: its sizes.

    Example:
        >>> points = Keypoints(torch.rand(1, 5, 2) * 64, torch.rand(1, 5),
        ...                    torch.rand(1, 5, 256), torch.ones(1, 5, dtype=torch.bool))
        >>> SuperGlue(SuperGlueConfig(layers=1)).eval()(points, points, (64, 64), (64, 64)).shape
        torch.Size([1, 6, 6])
    """

    def __init__(self, config: SuperGlueConfig | None = None):
        super().__init__()
        self.config = config or SuperGlueConfig()
        width = self.config.width
        self.position = PointMLP((3, *self.config.encoder_sizes, width))
        same = self.config.descriptor_dim == width
        self.input = nn.Identity() if same else nn.Linear(self.config.descriptor_dim, width)
        self.layers = nn.ModuleList(
            Propagation(width, self.config.heads) for _ in range(2 * self.config.layers)
        )
        self.output = nn.Linear(width, width)
        self.bin_score = nn.Parameter(torch.tensor(1.0))

    def forward(
        self,
        first: Keypoints,
        second: Keypoints,
        first_size: tuple[int, int],
        second_size: tuple[int, int],
    ) -> Tensor:
        """Log probabilities that points match.

        Args:
            first: M keypoints an image.
            second: N keypoints an image.
            first_size: width and height of the first images, px.
            second_size: width and height of the second images, px.

        Returns:
            B×(M+1)×(N+1) log probabilities; the last row and column are the dustbins.
        """
        a = self._embed(first, first_size)
        b = self._embed(second, second_size)
        for depth, layer in enumerate(self.layers):
            if depth % 2 == 0:
                a, b = a + layer(a, a, first.valid), b + layer(b, b, second.valid)
            else:
                a, b = a + layer(a, b, second.valid), b + layer(b, a, first.valid)
        # Half precision would round similarities by more than what tells matches apart.
        with torch.autocast(a.device.type, enabled=False):
            similarity = self.output(a) @ self.output(b).transpose(1, 2) / self.config.width**0.5
            if self.config.descriptor_weight:
                cosine = first.descriptors.float() @ second.descriptors.float().transpose(1, 2)
                similarity = similarity + self.config.descriptor_weight * cosine
            return log_assignment(
                similarity,
                self.bin_score,
                first.valid,
                second.valid,
                self.config.sinkhorn_iterations,
            )

    def _embed(self, keypoints: Keypoints, size: tuple[int, int]) -> Tensor:
        """Descriptor plus encoded position and score, B×K×C."""
        extent = keypoints.points.new_tensor(size)
        position = (keypoints.points - extent / 2) / (0.7 * extent.max())
        encoded = self.position(torch.cat((position, keypoints.scores[..., None]), dim=2))
        out: Tensor = self.input(keypoints.descriptors).float() + encoded.float()
        return out


def build(**sizes: Any) -> SuperGlue:
    """Return a network from plain numbers and lists, as a weight file's card holds them."""
    plain: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in sizes.items()
    }
    return SuperGlue(SuperGlueConfig(**plain))


def start_as_nearest_neighbours(
    network: SuperGlue, descriptors: Tensor | None = None, sharpness: float = 20.0
) -> None:
    """Set weights so that an untrained network matches by descriptors alone.

    Messages and positions begin at nothing, and projections keep angles; training then has to add
    context only, which takes a fraction of the steps.

    Args:
        network: changed in place.
        descriptors: N×D examples, of which a narrower network keeps the main directions; any
            directions otherwise.
        sharpness: how much the similarity of equal descriptors exceeds that of unrelated ones.
    """
    width = network.config.width
    for module in network.modules():
        if isinstance(module, PointMLP):
            for parameter in module[-1].parameters():
                nn.init.zeros_(parameter)
    length = 1.0  # of what stands for a descriptor
    if isinstance(network.input, nn.Linear):
        length = width**0.5  # numbers near 1, beside which a step of training is small
        directions = _main_directions(network.input, descriptors)
        with torch.no_grad():
            network.input.weight.copy_(directions * length)
        nn.init.zeros_(network.input.bias)
    nn.init.zeros_(network.output.bias)
    nn.init.eye_(network.output.weight)
    network.output.weight.data *= (sharpness * width**0.5) ** 0.5 / length
    nn.init.constant_(network.bin_score, 0.45 * sharpness)


def lean_on_descriptors(network: SuperGlue) -> None:
    """Make room for the descriptors' cosine in weights that were trained without it.

    What attention says is halved; a stranger's cosine, some 0.4, goes to the dustbin too. Both were
    chosen on fields of training eyes.

    Args:
        network: changed in place; ``descriptor_weight`` is set.
    """
    with torch.no_grad():
        for parameter in network.output.parameters():
            parameter.mul_(0.5**0.5)
        network.bin_score.mul_(0.5).add_(0.4 * network.config.descriptor_weight)


def _main_directions(narrowing: nn.Linear, descriptors: Tensor | None) -> Tensor:
    """As many orthogonal directions as the layer has outputs, outputs×inputs."""
    if descriptors is None or narrowing.out_features > narrowing.in_features:
        longer = (narrowing.in_features / narrowing.out_features) ** 0.5
        return nn.init.orthogonal_(torch.empty_like(narrowing.weight), longer)
    directions = torch.linalg.eigh(descriptors.T @ descriptors).eigenvectors
    return directions[:, -narrowing.out_features :].T


def mutual_matches(log_probabilities: Tensor, threshold: float = 0.2) -> PointMatches:
    """Pairs that are each other's best, dustbins left out.

    Args:
        log_probabilities: B×(M+1)×(N+1).
        threshold: least probability of a match.

    Returns:
        For each of the M points its match, or -1.
    """
    inner = log_probabilities[:, :-1, :-1]
    if 0 in inner.shape:
        none = torch.full(inner.shape[:2], -1, device=inner.device)
        return PointMatches(none, torch.zeros(inner.shape[:2], device=inner.device))
    best, forward = inner.max(dim=2)
    backward = inner.argmax(dim=1)
    here = torch.arange(inner.shape[1], device=inner.device)
    mutual = backward.gather(1, forward) == here
    kept = mutual & (best.exp() > threshold)
    return PointMatches(torch.where(kept, forward, -1), torch.where(kept, best.exp(), 0.0))
