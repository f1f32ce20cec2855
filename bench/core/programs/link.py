"""A program that runs beside this process, and the pipes to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from numpy.typing import NDArray

from imedbench.core.errors import Declined, ProgramFault
from imedbench.core.programs.host import PROTOCOL, Message, NoMessage, read_message, write_message
from imedbench.core.text import as_text

_WAIT_S = 1.0  # that an ended program may take to say so
_SHOWN = 300  # bytes of what a program printed


class Link:
    """One running program; it is ended with the link, or with this process.

    Args:
        name: of the program, for messages.
        command: program and arguments.
        environment: variables it is started with.

    Raises:
        Declined: when the program is not there or may not be run.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = name
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
            )
        except OSError as error:
            raise Declined(f"{command[0]}: cannot be started ({error.strerror})") from error
        self._number = 0
        self._said = bytearray()
        # The thread must not know the link, or nothing would ever be the last to let go of it.
        self._listener = threading.Thread(
            target=_listen, args=(self._process.stderr, self._said), daemon=True
        )
        self._listener.start()
        self.close = weakref.finalize(self, _end, self._process, self._listener)

    @property
    def is_open(self) -> bool:
        """Whether it may be asked something."""
        return self.close.alive and self._process.poll() is None

    def greet(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Say hello and return what the program says of itself.

        Raises:
            Declined: when the program cannot work here, with its reason.
            ProgramFault: when it speaks another protocol, or none.
        """
        reply, _ = self.ask({"type": "hello", "protocol": PROTOCOL, **header})
        if reply["type"] == "refusal":
            raise Declined(as_text(reply.get("reason", "the program gives no reason")))
        if reply["type"] != "hello":
            raise self._fault(f"answered hello by {reply['type']!r}")
        if reply.get("protocol") != PROTOCOL:
            raise self._fault(
                f"speaks version {reply.get('protocol')} of the protocol, this is {PROTOCOL}"
            )
        return reply

    def ask(
        self, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> Message:
        """Send a message and wait for its answer, however long that takes.

        Raises:
            ProgramFault: when the program says that it failed, ends, or sends something else; in
                the latter cases it is gone afterwards.
            MemoryError: when it says that it lacks memory.
        """
        self._number += 1
        with suppress(OSError):  # it has ended: what it said before that is read below
            write_message(self._stdin, {**header, "number": self._number}, arrays)
        try:
            message = read_message(self._stdout)
        except NoMessage as found:
            raise self._garbled(found) from found
        except OSError:
            message = None
        if message is None:
            raise self._ended()
        reply = message[0]
        if not isinstance(reply.get("type"), str) or reply.get("number") != self._number:
            asked = f"number {self._number}, a {header['type']!r}"
            raise self._fault(f"did not answer what it was asked ({asked}): {reply}")
        if reply["type"] == "error":
            reason = as_text(reply.get("reason", "the program gives no reason"))
            if reply.get("out_of_memory"):
                raise MemoryError(reason)
            raise ProgramFault(reason, str(reply.get("traceback", "")))
        return message

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _fault(self, what: str) -> ProgramFault:
        self.close()
        return ProgramFault(f"the program {self._name} {as_text(what)}")

    def _garbled(self, found: NoMessage) -> ProgramFault:
        if found.is_cut_off:
            return self._ended()
        self.close()
        rest = self._stdout.read(_SHOWN)
        printed = as_text(bytes(found.start + rest).decode(errors="replace"), 100)
        return self._fault(
            f"sent {found}: stdout is for messages, stderr for anything else; it wrote {printed!r}"
        )

    def _ended(self) -> ProgramFault:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_WAIT_S)
        code = self._process.returncode
        self._listener.join(_WAIT_S)
        self.close()
        cause = "closed its stdout" if code is None else f"ended ({_cause(code)})"
        said = as_text(self._said.decode(errors="replace"))
        words = f"; it printed: {said}" if said else ""
        return self._fault(f"{cause} before it answered{words}")


def _listen(stderr: IO[bytes], said: bytearray) -> None:
    """Pass on what a program prints to stderr, and keep the end of it."""
    for line in stderr:
        said += line
        del said[:-_SHOWN]
        with suppress(OSError, ValueError):
            sys.stderr.write(line.decode(errors="replace"))
            sys.stderr.flush()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _end(process: subprocess.Popen[bytes], listener: threading.Thread) -> None:
    """End a program with all that it started, and pass on its last words."""
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()
    assert process.stdin is not None
    with suppress(OSError):  # what it did not take is lost
        process.stdin.close()
    if listener is not threading.current_thread():  # which may be the one to collect the link
        listener.join(_WAIT_S)
