"""A plugin that does, in the call, what the fixed image's modality names: each act is one trouble.

Loaded in worker processes only; nothing here is ever called by the process that runs the tests.
"""

from __future__ import annotations

import builtins
import ctypes
import os
import pickle
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from imedbench.core.methods import register_method
from imedbench.core.registry import METHODS
from imedbench.core.transforms import Affine, DenseField, Homography, Transform
from imedbench.core.types import Diagnostics, Image, Matches, MethodInfo, Registration

FOREVER = 1e6
GREY = np.zeros((9, 9), np.uint8)


def ok(**more: Any) -> Registration:
    return Registration(Affine([[1, 0, 1], [0, 1, 0]]), **more)


def forced(name: str, value: Any) -> Registration:
    """A registration into whose diagnostics something was put that their constructor refuses."""
    shown = Diagnostics()
    object.__setattr__(shown, name, value)
    return ok(diagnostics=shown)


def sockets() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.append(int(name))
    return found


def into_sockets(content: bytes, hang: bool = False) -> None:
    for number in sockets():
        os.write(number, content)
    if hang:
        time.sleep(FOREVER)


class WontPickle(Exception):
    def __init__(self, first: str, second: int) -> None:
        super().__init__(first)
        self.what = lambda: second


class WontPrint(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not printable")


class WontUnpickle:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


class Odd(Transform):
    """A transform that does what its mode says whenever it is used."""

    kind = "odd"

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def apply(self, points: Any) -> Any:
        xy = np.asarray(points, float).reshape(-1, 2)
        if self.mode == "hang":
            time.sleep(FOREVER)
        if self.mode == "segv":
            ctypes.string_at(0)
        if self.mode == "exit":
            os._exit(0)
        if self.mode == "raise":
            raise RuntimeError("apply fails")
        if self.mode == "kbd":
            raise KeyboardInterrupt
        if self.mode == "sysexit":
            sys.exit(0)
        odd = {"shape": xy[:, :1], "text": "hello", "int": (xy + 1).astype(int)}
        if self.mode == "late" and len(xy) < 1000:
            raise RuntimeError("fails on few points only")
        return odd.get(self.mode, xy + 1)

    def inverse(self) -> Transform:
        return self

    def is_finite(self) -> bool:
        return True

    def parameters(self) -> dict[str, Any]:
        return {"x": object()} if self.mode == "fat" else {"mode": self.mode}


def spin(*_: object) -> None:
    while True:
        pass


def spin_in_c(*_: object) -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def recurse(*_: object) -> None:
    def deeper(n: int) -> int:
        return deeper(n + 1)

    deeper(0)


def overflow_the_stack(*_: object) -> None:
    sys.setrecursionlimit(10**9)

    def deeper(n: int) -> int:
        return max([n], key=lambda k: deeper(k + 1))

    deeper(0)


def limit(what: int, value: int) -> None:
    resource.setrlimit(what, (value, value))


def limit_growth(size: int) -> None:
    """Let the process take so many bytes of addresses beyond those that it has."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + size)


def take_memory(*_: object) -> None:
    limit_growth(600 << 20)
    held = [np.ones(1 << 28, np.uint8) for _ in range(100)]
    del held


def take_cv2_memory(fixed: Image) -> None:
    limit_growth(600 << 20)
    held = [cv2.resize(fixed.grey(), (32000, 32000)) for _ in range(9)]
    del held


def take_torch_memory(*_: object) -> None:
    import torch

    torch.empty(1 << 50)


def outgrow(*_: object) -> None:
    """Takes more than the tests' limit of 1 GiB, then waits to be found."""
    held = [np.ones(1 << 28, np.uint8) for _ in range(5)]
    time.sleep(FOREVER)
    del held


def leave_children(*_: object) -> None:
    for number in range(3):
        seconds = os.environ.get("HOSTILE_SLEEP", "321")
        subprocess.Popen(["sleep", seconds], start_new_session=number == 0)


def leave_forks_and_exit(*_: object) -> None:
    for _ in range(2):
        if os.fork() == 0:
            time.sleep(25)
            os._exit(0)
    os._exit(4)


def fork_and_return(*_: object) -> None:
    os.fork()


def talk(number: int) -> None:
    line = b"x" * 99 + b"\n"
    for _ in range(100):
        os.write(number, line * 1000)


def talk_on(*_: object) -> None:
    for _ in range(4):
        talk(1)
    os.write(1, b"the last one")
    time.sleep(FOREVER)


def print_json(*_: object) -> None:
    print('{"evil": 1}')
    sys.stdout.flush()
    sys.__stdout__.write("hi\n")


def mutate(fixed: Image, moving: Image) -> None:
    fixed.pixels.flags.writeable = True
    fixed.pixels[:] = 0
    moving.pixels[:] = 255


def upset_process(*_: object) -> None:
    os.chdir("/")
    os.environ.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    np.seterr(all="raise")
    sys.path[:] = []


def upset_modules(*_: object) -> None:
    import imedbench.runs.calls
    import imedbench.runs.worker_main

    imedbench.runs.calls.judge = None
    imedbench.runs.worker_main.send = None


def stop_the_clock(*_: object) -> None:
    time.perf_counter = lambda: -1e9


def lose_folder(*_: object) -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def flood(*_: object) -> None:
    kept = []
    limit(resource.RLIMIT_NOFILE, 4096)  # where it is a million they take seconds to open
    try:
        while True:
            kept.append(open("/dev/null"))  # noqa: SIM115 - they are to stay open
    except OSError:
        sys.kept = kept


def listen(*_: object) -> None:
    sys.listening = socket.socket()
    sys.listening.bind(("127.0.0.1", 0))
    sys.listening.listen()


def background(target: Callable[[], object], count: int = 1) -> None:
    for _ in range(count):
        threading.Thread(target=target).start()


def nap() -> None:
    while True:
        time.sleep(0.001)


def lose_modules() -> None:
    for name in [name for name in sys.modules if "numpy" in name]:
        del sys.modules[name]


def register_exit(*_: object) -> None:
    import atexit

    atexit.register(lambda: time.sleep(FOREVER))


def boo(*_: object) -> None:
    warnings.simplefilter("error")
    warnings.warn("boo", stacklevel=1)


def raising(error: BaseException) -> Callable[..., None]:
    def act(*_: object) -> None:
        raise error

    return act


def killing(number: int) -> Callable[..., None]:
    def kill(*_: object) -> None:
        # Whoever started the tests may ignore hang-ups; SIGKILL and SIGSTOP cannot be ignored.
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return kill


def ignore_term(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(FOREVER)


def break_the_pipe() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


def alarm(*_: object) -> None:
    signal.alarm(1)
    time.sleep(3)


def open_stages(*_: object) -> None:
    from imedbench.core.stages import stage

    for number in range(500):
        with stage(f"s{number}\n|"):
            pass


def many(n: int) -> Registration:
    return ok(diagnostics=Diagnostics(values={f"a{i}": i for i in range(n)}))


def async_answer(*_: object) -> Any:
    async def answer() -> Registration:
        return ok()

    coroutine = answer()
    coroutine.close()
    return coroutine


PICKLED = pickle.dumps(WontUnpickle())
NAN3 = np.full((3, 2), np.nan)

ACTS: dict[str, Callable[[Image, Image], Any]] = {
    # Ends of the process
    "segv": lambda *_: ctypes.string_at(0),
    "exit0": lambda *_: os._exit(0),
    "exit3": lambda *_: os._exit(3),
    "sysexit": lambda *_: sys.exit("bye"),
    "sysexit0": lambda *_: sys.exit(0),
    "kbd": raising(KeyboardInterrupt()),
    "base": raising(BaseException("base")),
    "genexit": raising(GeneratorExit()),
    "abort": lambda *_: os.abort(),
    "sigkill": killing(signal.SIGKILL),
    "sigterm": killing(signal.SIGTERM),
    "sigill": killing(signal.SIGILL),
    "sigfpe": killing(signal.SIGFPE),
    "sigbus": killing(signal.SIGBUS),
    "sigxcpu": killing(signal.SIGXCPU),
    "sighup": killing(signal.SIGHUP),
    "sigusr1": killing(signal.SIGUSR1),
    "alarm": alarm,
    # Hangs
    "loop": spin,
    "loopc": spin_in_c,
    "sleep": lambda *_: time.sleep(FOREVER),
    "sigstop": killing(signal.SIGSTOP),
    "ignore_term": ignore_term,
    "lock": lambda *_: (lock := threading.Lock()).acquire() and lock.acquire(),
    "read_stdin": lambda *_: print(sys.stdin.read()),
    "pause": lambda *_: signal.pause(),
    # Stack and memory
    "recursion": recurse,
    "stackover": overflow_the_stack,
    "mem_rlimit": take_memory,
    "mem_huge": lambda *_: np.empty(1 << 50),
    "mem_cv2": lambda fixed, _: take_cv2_memory(fixed),
    "mem_torch": take_torch_memory,
    "mem_outgrow": outgrow,
    "memory_error": raising(MemoryError("no memory")),
    # Children and threads
    "children": leave_children,
    "children_hold": leave_forks_and_exit,
    "fork_return": fork_and_return,
    "threads": lambda *_: background(nap, 20),
    "threads_hold": lambda *_: background(lambda: time.sleep(FOREVER)),
    "thread_dies": lambda *_: background(lambda: 1 / 0),
    "atexit": register_exit,
    # Output
    "stdout10": lambda *_: talk(1),
    "talk_on": talk_on,
    "stderr10": lambda *_: talk(2),
    "printjson": print_json,
    "close12": lambda *_: os.closerange(1, 3),
    # The line to the run
    "close_all": lambda *_: os.closerange(3, 100),
    "closepipe": lambda *_: deque(map(os.close, sockets()), 0) or None,
    "pipe_garbage": lambda *_: into_sockets(b"hello world, garbage that is longer than a header"),
    "pipe_huge": lambda *_: into_sockets(b"\x7f\xff\xff\xffabc", hang=True),
    "pipe_huge_framed": lambda *_: into_sockets(b"imed\x7f\xff\xff\xff\xff\xff\xff\xff"),
    "pipe_partial": lambda *_: into_sockets(b"imed\0\0\0\0\0\0\0\x40abc", hang=True),
    "pipe_half_header": lambda *_: into_sockets(b"im", hang=True),
    "pipe_pickle": lambda *_: into_sockets(b"imed" + len(PICKLED).to_bytes(8, "big") + PICKLED),
    "pipe_wrongtype": lambda *_: into_sockets(b"imed\0\0\0\0\0\0\0\1\x80"),
    "pipe_empty": lambda *_: into_sockets(b"imed" + bytes(8)),
    "pipe_answer": lambda *_: into_sockets(b"imed" + (3).to_bytes(8, "big") + b"\x81\xa0\xc0"),
    "pipe_nonblocking": lambda *_: deque((os.set_blocking(n, False) for n in sockets()), 0) or None,
    # Transforms
    "nan": lambda *_: Registration(Affine([[float("nan"), 0, 0], [0, 1, 0]])),
    "inf": lambda *_: Registration(Affine([[float("inf"), 0, 0], [0, 1, 0]])),
    "singular": lambda *_: Registration(Affine([[0, 0, 0], [0, 0, 0]])),
    "hugeaff": lambda *_: Registration(Affine([[1e300, 0, 1e308], [0, 1e300, 0]])),
    "tiny": lambda *_: Registration(Homography([[1, 0, 0], [0, 1, 0], [0, 0, 1e-300]])),
    "shape": lambda *_: Registration(Affine(np.eye(5))),
    "complex": lambda *_: Registration(Affine(np.eye(3) * (1 + 1j))),
    "dense_nan": lambda *_: Registration(DenseField(np.full((64, 64, 2), np.nan))),
    "dense_wrong": lambda *_: Registration(DenseField(np.zeros((2, 2, 2)))),
    "t_hang": lambda *_: Registration(Odd("hang")),
    "t_segv": lambda *_: Registration(Odd("segv")),
    "t_exit": lambda *_: Registration(Odd("exit")),
    "t_raise": lambda *_: Registration(Odd("raise")),
    "t_kbd": lambda *_: Registration(Odd("kbd")),
    "t_sysexit": lambda *_: Registration(Odd("sysexit")),
    "t_shape": lambda *_: Registration(Odd("shape")),
    "t_text": lambda *_: Registration(Odd("text")),
    "t_int": lambda *_: Registration(Odd("int")),
    "t_late": lambda *_: Registration(Odd("late")),
    "t_fat": lambda *_: Registration(Odd("fat")),
    # Answers that are none
    "zero": lambda *_: 0,
    "false": lambda *_: False,
    "text": lambda *_: "good",
    "array": lambda *_: np.eye(3),
    "class": lambda *_: Registration,
    "generator": lambda *_: (x for x in range(3)),
    "async": async_answer,
    "tuple": lambda *_: (Affine.identity(), 0.5),
    "matrix": lambda *_: Registration(np.eye(3)),  # type: ignore[arg-type]
    "neither": lambda *_: Registration(None),
    "both": lambda *_: Registration(Affine.identity(), reason="and yet"),
    # Confidence
    "conf_f32": lambda *_: ok(confidence=np.float32(0.5)),
    "conf_arr0": lambda *_: ok(confidence=np.array(0.5)),
    "conf_arr": lambda *_: ok(confidence=np.array([0.5, 0.5])),
    "conf_nan": lambda *_: ok(confidence=float("nan")),
    "conf_text": lambda *_: ok(confidence="high"),
    "conf_two": lambda *_: ok(confidence=2),
    "conf_bool": lambda *_: ok(confidence=True),
    # Reasons
    "reason_int": lambda *_: Registration(None, reason=7),  # type: ignore[arg-type]
    "reason_list": lambda *_: Registration(None, reason=["a", "b"]),  # type: ignore[arg-type]
    "reason_exc": lambda *_: Registration(None, reason=ValueError("x")),  # type: ignore[arg-type]
    "reason_sur": lambda *_: Registration(None, reason="bad \ud800 surrogate"),
    "reason_nul": lambda *_: Registration(
        None, reason="a\0b\n\nc | d `e` <script>alert(1)</script>"
    ),
    "reason_math": lambda *_: Registration(None, reason="cost $x_{$ too high: $\\frac$ "),
    "reason_big": lambda *_: Registration(None, reason="y" * (5 << 20)),
    "reason_ansi": lambda *_: Registration(None, reason="\x1b[31mred [bold]x[/bold] [/]"),
    "reason_print": lambda *_: Registration(None, reason=WontPrint()),  # type: ignore[arg-type]
    # Exceptions
    "exc_sur": raising(ValueError("no \ud800 file")),
    "exc_unp": raising(WontPickle("a", 2)),
    "exc_str": raising(WontPrint()),
    "exc_multiline": raising(ValueError("line1\nline2\nline3 $\\foo_{$")),
    "exc_big": raising(ValueError("z" * (20 << 20))),
    "exc_group": raising(ExceptionGroup("g", [ValueError(1), KeyError(2)])),
    "exc_stop": raising(StopIteration()),
    "exc_eof": raising(EOFError()),
    "exc_pipe": raising(BrokenPipeError()),
    "exc_timeout": raising(TimeoutError("mine")),
    "exc_bad_code": raising(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")),
    "warn": boo,
    # Diagnostics
    "diag_none": lambda *_: ok(diagnostics=None),
    "diag_dict": lambda *_: ok(diagnostics={"a": 1}),
    "diag_intkey": lambda *_: ok(diagnostics=Diagnostics(values={(1, 2): 3})),  # type: ignore[dict-item]
    "diag_name": lambda *_: ok(diagnostics=Diagnostics(images={"../../x": GREY})),
    "diag_longname": lambda *_: ok(diagnostics=Diagnostics(images={"x" * 300: GREY})),
    "diag_force": lambda *_: forced("images", {"../../../../evil": GREY}),
    "diag_lambda": lambda *_: forced("values", {"a": lambda: 0}),
    "diag_unpickle": lambda *_: forced("images", WontUnpickle()),
    "diag_list": lambda *_: ok(diagnostics=Diagnostics(images=[1, 2])),  # type: ignore[arg-type]
    "diag_nanval": lambda *_: ok(diagnostics=Diagnostics(values={"a": float("nan")})),
    "diag_bigint": lambda *_: ok(diagnostics=Diagnostics(values={"b": 10**400})),
    "diag_2e63": lambda *_: ok(diagnostics=Diagnostics(values={"b": 2**64})),
    "diag_surkey": lambda *_: ok(diagnostics=Diagnostics(values={"\ud800": "\ud800"})),
    "diag_text": lambda *_: ok(diagnostics=Diagnostics(values={"a": "x" * (20 << 20)})),
    "diag_many": lambda *_: many(200_000),
    "diag_wide": lambda *_: ok(
        diagnostics=Diagnostics(images={"a": np.zeros((2, 99999), np.uint8)})
    ),
    "diag_float": lambda *_: forced("images", {"a": np.zeros((9, 9))}),
    "diag_object": lambda *_: forced("images", {"a": np.array([[object()] * 4] * 4)}),
    "matches_text": lambda *_: ok(diagnostics=Diagnostics(matches="x")),  # type: ignore[arg-type]
    "matches_nan": lambda *_: ok(
        diagnostics=Diagnostics(matches=Matches(NAN3, NAN3, np.ones(3, bool)))
    ),
    "matches_object": lambda *_: forced("matches", WontUnpickle()),
    "stages": open_stages,
    # The process itself
    "mutate": mutate,
    "env": upset_process,
    "monkey": upset_modules,
    "clock": stop_the_clock,
    "few_files": lambda *_: limit(resource.RLIMIT_NOFILE, 3),
    "folder_gone": lambda *_: lose_folder(),
    "flood_files": flood,
    "listen": listen,
    "sigpipe": lambda *_: break_the_pipe(),
    "parent_winch": lambda *_: os.kill(os.getppid(), signal.SIGWINCH),
    "recursion_limit": lambda *_: sys.setrecursionlimit(60),
    "no_builtins": lambda *_: delattr(builtins, "len"),
    "gc_off": lambda *_: __import__("gc").disable(),
    "trace": lambda *_: sys.settrace(lambda *_: 1 / 0),
    "modules_gone": lambda *_: lose_modules(),
}


@register_method(MethodInfo("hostile", "does harm", "affine"))
def hostile(fixed: Image, moving: Image, *, note: str = "") -> Registration:
    """Act by the fixed image's modality."""
    act = ACTS.get(fixed.modality)
    result = act(fixed, moving) if act else None
    return ok() if result is None else result


@METHODS.register("hostile-setup")
class HostileSetup:
    """Does harm while it is set up."""

    def __init__(self, *, what: str = "ok") -> None:
        self.what = what
        self.info = MethodInfo("hostile-setup", "does harm", "affine")

    def prepare(self, device: str) -> None:
        """Do it."""
        act = ACTS.get(self.what)
        if act:
            act(Image(GREY), Image(GREY))

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Answer well."""
        return ok()
