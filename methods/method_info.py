"""What a method is, read off the cards of the networks it works with."""

from __future__ import annotations

from dataclasses import replace

from imedbench.core.types import MethodInfo
from imedbench.methods.weights import Card


def dense_info(name: str, card: Card, *, summary: str, paper: str) -> MethodInfo:
    """Return the facts of a method that is one network and predicts a dense transform.

    Args:
        name: of the method.
        card: of its weights.
        summary: what it does, one line.
        paper: that describes it.
    """
    return MethodInfo(
        name=name,
        summary=summary,
        family="dense",
        paper=paper,
        weights_licence=card.licence,
        weights=card.sha256[:16],
        trained_on=card.trained_on,
        training_images=card.training_images,
        uses_cuda=True,
    )


def wrapper_info(
    prefix: str, inner: MethodInfo, card: Card, *, paper: str, addition: str
) -> MethodInfo:
    """Return the facts of an inner method joined with those of the network before it.

    Args:
        prefix: name of the wrapper.
        inner: the method that registers.
        card: of the network's weights.
        paper: that describes the network.
        addition: what the network does, to follow the inner method's summary.
    """
    licences = [name for name in (inner.weights_licence, card.licence) if name != "none"]
    return replace(
        inner,
        name=f"{prefix}+{inner.name}",
        summary=f"{inner.summary}, {addition}",
        paper="; ".join(filter(None, (paper, inner.paper))),
        weights_licence=" AND ".join(dict.fromkeys(licences)),
        trained_on=tuple(dict.fromkeys((*inner.trained_on, *card.trained_on))),
        training_images=tuple(dict.fromkeys((*inner.training_images, *card.training_images))),
        uses_cuda=True,
        weights=" ".join(filter(None, (inner.weights, card.sha256[:16]))),
    )
