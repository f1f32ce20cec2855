"""Weights of other implementations under our parameter names.

Each function takes a state dict in any known layout (ours, the authors', `transformers`') and
returns it in ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

State = dict[str, Tensor]
_Renames = tuple[tuple[str, str], ...]

_SUPERPOINT_AUTHORS: _Renames = (
    (r"^convP(a|b)\.", r"detector.conv_\1."),
    (r"^convD(a|b)\.", r"descriptor.conv_\1."),
    *((rf"^conv{i + 1}(a|b)\.", rf"encoder.{i}.conv_\1.") for i in range(4)),
)
_SUPERPOINT_TRANSFORMERS: _Renames = (
    (r"^encoder\.conv_blocks\.", "encoder."),
    (r"^keypoint_decoder\.conv_score_", "detector.conv_"),
    (r"^descriptor_decoder\.conv_descriptor_", "descriptor.conv_"),
)
_SUPERGLUE_AUTHORS: _Renames = (
    (r"^kenc\.encoder\.", "position."),
    (r"^gnn\.layers\.(\d+)\.attn\.merge\.", r"layers.\1.merge."),
    (r"^gnn\.layers\.(\d+)\.attn\.proj\.0\.", r"layers.\1.query."),
    (r"^gnn\.layers\.(\d+)\.attn\.proj\.1\.", r"layers.\1.key."),
    (r"^gnn\.layers\.(\d+)\.attn\.proj\.2\.", r"layers.\1.value."),
    (r"^gnn\.layers\.(\d+)\.mlp\.", r"layers.\1.mlp."),
    (r"^final_proj\.", "output."),
)
_SUPERGLUE_TRANSFORMERS: _Renames = (
    (r"^keypoint_encoder\.encoder\.", "position."),
    (r"^gnn\.layers\.(\d+)\.attention\.self\.", r"layers.\1."),
    (r"^gnn\.layers\.(\d+)\.attention\.output\.dense\.", r"layers.\1.merge."),
    (r"^gnn\.layers\.(\d+)\.mlp\.", r"layers.\1.mlp."),
    (r"^final_projection\.final_proj\.", "output."),
)


def superpoint_state(state: Mapping[str, Tensor]) -> State:
    """SuperPoint weights in our layout."""
    if "conv1a.weight" in state:
        return _renamed(state, _SUPERPOINT_AUTHORS)
    if "encoder.conv_blocks.0.conv_a.weight" in state:
        return _renamed(state, _SUPERPOINT_TRANSFORMERS)
    return dict(state)


def superglue_state(state: Mapping[str, Tensor], heads: int = 4) -> State:
    """SuperGlue weights in our layout; a keypoint detector among them is left out."""
    if "kenc.encoder.0.weight" in state:
        renamed = _renamed(state, _SUPERGLUE_AUTHORS)
        return {name: _from_authors(name, value, heads) for name, value in renamed.items()}
    if "keypoint_encoder.encoder.0.linear.weight" in state:
        own = {k: v for k, v in state.items() if not k.startswith("keypoint_detector.")}
        flat = {_flat_mlp(k): v for k, v in own.items()}
        return _renamed(flat, _SUPERGLUE_TRANSFORMERS)
    return dict(state)


def _renamed(state: Mapping[str, Tensor], renames: _Renames) -> State:
    result: State = {}
    for name, value in state.items():
        for pattern, replacement in renames:
            name, found = re.subn(pattern, replacement, name)
            if found:
                break
        result[name] = value
    return result


def _flat_mlp(name: str) -> str:
    """`transformers` nests linear and norm in numbered blocks; we number linear, norm, ReLU."""
    match = re.match(r"(.*(?:encoder\.encoder|mlp)\.)(\d+)\.(?:(linear|batch_norm)\.)?(.*)$", name)
    if match is None:
        return name
    stem, block, part, rest = match.groups()
    return f"{stem}{3 * int(block) + (part == 'batch_norm')}.{rest}"


def _from_authors(name: str, value: Tensor, heads: int) -> Tensor:
    """Their layers are convolutions of length one whose channels deal heads out in turn."""
    value = value.squeeze(-1) if value.ndim == 3 else value
    if re.search(r"\.(query|key|value)\.", name):
        return value.reshape(-1, heads, *value.shape[1:]).transpose(0, 1).flatten(0, 1)
    if name.endswith("merge.weight"):
        return value.reshape(len(value), -1, heads).transpose(1, 2).flatten(1, 2)
    return value
