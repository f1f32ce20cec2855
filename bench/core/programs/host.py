"""Serve a Python file with a function ``register`` over stdin and stdout.

This file is run by its path with whatever interpreter the method wants: it needs Python 3.8 and any
NumPy, and imports nothing of imedbench. What goes over the pipes is described in
``docs/reference/programs.md``; `read_message` and `write_message` serve both of their ends.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import random
import struct
import sys
import traceback
from typing import IO, Any, Callable, Dict, Mapping, Optional, Tuple, Union

PROTOCOL = 1
MARK = b"IMED"
MAX_HEADER = 1 << 24  # bytes
MAX_ARRAYS = 1 << 30  # bytes
DTYPES = ("uint8", "bool", "int32", "int64", "float32", "float64")

Message = Tuple[Dict[str, Any], Dict[str, Any]]


class NoMessage(Exception):
    """What comes is no message.

    Args:
        start: the bytes read in place of one.
        text: what is wrong with it.
        is_cut_off: whether the stream ended within it.
    """

    def __init__(self, start: Union[bytes, bytearray], text: str, is_cut_off: bool = False) -> None:
        super().__init__(text)
        self.start, self.is_cut_off = start, is_cut_off


def write_message(
    stream: IO[bytes], header: Mapping[str, Any], arrays: Optional[Mapping[str, Any]] = None
) -> None:
    """Write a header and the arrays that it lists.

    Args:
        stream: to the other side.
        header: what JSON can hold.
        arrays: NumPy arrays by name, of one of `DTYPES`.
    """
    import numpy as np

    listed = []
    contents = []
    for name, array in (arrays or {}).items():
        plain = np.ascontiguousarray(array)
        little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
        listed.append({"name": name, "dtype": plain.dtype.name, "shape": list(array.shape)})
        contents.append(little.tobytes())
    text = json.dumps({**header, "arrays": listed}, separators=(",", ":")).encode()
    stream.write(MARK + struct.pack("<I", len(text)) + text)
    for content in contents:
        stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Optional[Message]:
    """Read one message; None when the other side has ended between two of them.

    Raises:
        NoMessage: when what comes is something else, or ends in the middle.
    """
    import numpy as np

    if not _read_mark(stream):
        return None
    (size,) = struct.unpack("<I", _exactly(stream, 4))
    if size > MAX_HEADER:
        raise NoMessage(MARK, "a header of %d bytes, %d are the most" % (size, MAX_HEADER))
    text = _exactly(stream, size)
    try:
        header = json.loads(text.decode())
        layout = [_layout(entry) for entry in header.get("arrays", [])]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NoMessage(text, "a header that cannot be read (%s)" % error) from error
    if sum(size for _, _, _, size in layout) > MAX_ARRAYS:
        raise NoMessage(text, "arrays of more than %d bytes" % MAX_ARRAYS)
    arrays = {}
    for name, dtype, shape, size in layout:
        little = np.dtype(dtype).newbyteorder("<")
        arrays[name] = np.frombuffer(_exactly(stream, size), little).reshape(shape)
    return header, arrays


def _read_mark(stream: IO[bytes]) -> bool:
    """Read what every message begins with, byte by byte: a word printed before it must not hang."""
    start = b""
    while start != MARK:
        byte = stream.read(1)
        if not byte and not start:
            return False
        start += byte
        if not byte or not MARK.startswith(start):
            raise NoMessage(start, "what is no message")
    return True


def _layout(entry: Dict[str, Any]) -> Tuple[str, str, Tuple[int, ...], int]:
    """Return name, type, shape and size in bytes of an array that a header lists."""
    import numpy as np

    name, dtype, shape = str(entry["name"]), entry["dtype"], tuple(entry["shape"])
    if dtype not in DTYPES:
        raise ValueError("array %s is of type %r, not one of %s" % (name, dtype, ", ".join(DTYPES)))
    size = np.dtype(dtype).itemsize
    for side in shape:
        if type(side) is not int or side < 0:
            raise ValueError("array %s has the shape %r" % (name, shape))
        size *= side
    return name, dtype, shape, size


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    content = bytearray()
    while len(content) < size:
        part = stream.read(min(size - len(content), 1 << 20))
        if not part:
            raise NoMessage(bytes(content), "half a message", True)
        content += part
    return content


def main(path: str) -> None:
    """Serve a file until stdin ends.

    Args:
        path: of a Python file with a function ``register(fixed, moving, **options)`` and, if it
            likes, one ``prepare(device, **options)``.
    """
    source, target = sys.stdin.buffer, _take_stdout()
    module: Dict[str, Any] = {}
    while True:
        message = read_message(source)
        if message is None:
            return
        asked, arrays = message
        given: Dict[str, Any] = {}
        try:
            if asked["type"] == "hello":
                module = _load(path)
                reply = _greet(module, asked)
            else:
                reply, given = _answer(module, asked, arrays)
        except Exception as error:
            print(traceback.format_exc(), file=sys.stderr)
            lacks_memory = isinstance(error, MemoryError)
            reason = _describe(error, path)
            reply = {"type": "error", "reason": reason, "out_of_memory": lacks_memory}
            reply["traceback"] = traceback.format_exc()
        write_message(target, {**reply, "number": asked["number"]}, given)


def _take_stdout() -> IO[bytes]:
    """Keep stdout for messages: what the file or a library prints goes to stderr from here on.

    Line by line, so that a sudden end loses none of it.
    """
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return kept


def _load(path: str) -> Dict[str, Any]:
    """Run the file as a module of its own name, its folder first on the path of imports."""
    import importlib.util

    sys.path[0] = os.path.dirname(os.path.abspath(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "register", None)):
        raise TypeError("%s has no function register(fixed, moving)" % path)
    return {"options": {}, **vars(module)}


def _greet(module: Dict[str, Any], asked: Dict[str, Any]) -> Dict[str, Any]:
    """Set the file up and say what answers: its interpreter and packages."""
    from importlib.metadata import PackageNotFoundError, version

    if asked["protocol"] != PROTOCOL:
        return {"type": "hello", "protocol": PROTOCOL}
    module["options"] = asked.get("options", {})
    refusal = _call(module, "prepare", asked.get("device", "cpu"))
    if refusal is not None:
        return {"type": "refusal", "reason": str(refusal)}
    values = {"python": sys.version.split()[0]}
    for package in asked.get("packages", ()):
        try:
            values[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"type": "hello", "protocol": PROTOCOL, "values": values}


def _answer(module: Dict[str, Any], asked: Dict[str, Any], arrays: Dict[str, Any]) -> Message:
    """Register one pair: whatever the file's function returns, as an answer."""
    import numpy as np

    _seed(int(asked["seed"]))
    found = _call(module, "register", arrays["fixed"], arrays["moving"], facts=asked)
    if isinstance(found, str):
        found = {"refusal": found}
    elif not isinstance(found, dict):
        found = {"fixed_from_moving": found}
    reply: Dict[str, Any] = {"type": "answer"}
    given: Dict[str, Any] = {}
    for name, value in found.items():
        if name in ("fixed_from_moving", "moving_from_fixed"):
            value = np.asarray(value, np.float64 if np.shape(value) == (3, 3) else np.float32)
        if isinstance(value, np.ndarray):
            given[name] = value
        elif value is not None:
            reply[name] = value
    return reply, given


def _call(module: Dict[str, Any], name: str, *arguments: Any, **facts: Any) -> Any:
    """Call a function of the file with its options, and with facts only if it asks for them."""
    function: Optional[Callable[..., Any]] = module.get(name)
    if function is None:
        return None
    wanted = inspect.signature(function).parameters
    taken = {key: value for key, value in facts.items() if key in wanted}
    return function(*arguments, **module["options"], **taken)


def _seed(seed: int) -> None:
    """Seed every generator that is loaded, so that a call again does the same work."""
    random.seed(seed)
    seeders = {"numpy": "random.seed", "torch": "manual_seed", "cv2": "setRNGSeed"}
    for name, path in seeders.items():
        function: Any = sys.modules.get(name)
        for part in path.split("."):
            function = getattr(function, part, None)
        if function is not None:
            function(seed)


def _describe(error: BaseException, path: str) -> str:
    """Name an exception and the line of the file that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if os.path.abspath(frame.filename) == os.path.abspath(path)]
    last = (own or list(frames))[-1]
    text = " ".join(str(error).split())
    name = os.path.basename(last.filename)
    return "%s: %s at %s:%s" % (type(error).__name__, text, name, last.lineno)


if __name__ == "__main__":
    main(sys.argv[1])
