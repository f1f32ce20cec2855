"""Transforms as JSON and, where they hold large arrays, as files."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imedbench.core.errors import BadInput
from imedbench.core.transforms.base import Transform

#: A transform with more numbers than this goes to a file of its own instead of into JSON.
INLINE_LIMIT = 4096


def to_dict(transform: Transform) -> dict[str, Any]:
    """Return a transform as nested dicts, lists and numbers, ready for JSON."""
    outline, arrays = to_parts(transform)
    return _filled(outline, {name: array.tolist() for name, array in arrays.items()})


def from_dict(data: dict[str, Any]) -> Transform:
    """Return the transform that `to_dict` described.

    Raises:
        BadInput: when the kind is unknown or its parameters do not fit.

    Example:
        >>> from_dict({"kind": "affine", "matrix": [[1, 0, 2], [0, 1, 0]]}).apply([[0, 0]])
        array([[2., 0.]])
    """
    name = str(data.get("kind", ""))
    kind = Transform.kinds.get(name)
    if kind is None:
        known = ", ".join(sorted(Transform.kinds))
        raise BadInput(f"unknown kind of transform {name!r}; known are {known}")
    try:
        parameters = {name: _revived(value) for name, value in data.items() if name != "kind"}
        return kind(**parameters)
    except BadInput:
        raise
    except Exception as error:  # what is not an array of numbers fails in many ways
        raise BadInput(f"not a valid {kind.kind} transform: {error}") from error


def to_bytes(transform: Transform) -> bytes:
    """Return a transform as the content of a compressed ``.npz`` file."""
    outline, arrays = to_parts(transform)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, outline=np.array(json.dumps(outline)), **arrays)
    return buffer.getvalue()


def from_bytes(data: bytes) -> Transform:
    """Return the transform that `to_bytes` stored.

    Raises:
        BadInput: when it is something else, or damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "outline"}
            outline = json.loads(str(stored["outline"]))
        return from_parts(outline, arrays)
    except BadInput:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise BadInput(f"not a stored transform: {error}") from error


def is_large(transform: Transform) -> bool:
    """Tell whether the transform belongs in a file rather than in JSON."""
    _, arrays = to_parts(transform)
    return sum(array.size for array in arrays.values()) > INLINE_LIMIT


def to_parts(transform: Transform) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a transform's structure, ready for JSON, and apart from it its arrays by name."""
    arrays: dict[str, NDArray[Any]] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, Transform):
            parameters = {name: visit(part) for name, part in value.parameters().items()}
            return {"kind": value.kind, **parameters}
        if isinstance(value, list):
            return [visit(part) for part in value]
        if isinstance(value, np.ndarray):
            arrays[name := f"array{len(arrays)}"] = value
            return {"array": name}
        return value

    return visit(transform), arrays


def from_parts(outline: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Transform:
    """Return the transform that `to_parts` took apart.

    Raises:
        BadInput: when the parts are of none.
    """
    return from_dict(_filled(outline, arrays))


def _filled(outline: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(outline, list):
        return [_filled(part, arrays) for part in outline]
    if isinstance(outline, dict):
        if set(outline) == {"array"}:
            return arrays[outline["array"]]
        return {name: _filled(part, arrays) for name, part in outline.items()}
    return outline


def _revived(value: Any) -> Any:
    if isinstance(value, dict) and "kind" in value:
        return from_dict(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_revived(part) for part in value]
    return value
