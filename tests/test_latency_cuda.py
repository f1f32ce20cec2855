"""The CUDA side of the latency harness: by a stand-in, and for real where there is a card."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from imedbench.core.errors import BadInput
from imedbench.core.stages import stage
from imedbench.core.transforms import Affine
from imedbench.core.types import Image, ImagePair, MethodInfo, Outcome, Registration
from imedbench.latency.calls import timed_call
from imedbench.latency.device import CudaBackend
from imedbench.latency.measure import measure_latency
from imedbench.latency.settings import LatencySettings

IMAGE = Image(np.zeros((24, 32), np.uint8), "cf")
PAIR = ImagePair("a", IMAGE, IMAGE)
MIB = 2**20


class FakeCuda:
    """A device whose work ends only when somebody waits for it.

    The host's clock moves by what the host does, the device's queue by what is launched.
    """

    def __init__(self) -> None:
        self.host_ms = 0.0
        self.queue_ms = 0.0  # when the device will have done all it was given
        self.reached_ms = 0.0  # what the host knows to be done
        self.allocated = self.peak = 0
        self.waits = 0

    def launch(self, milliseconds: float) -> None:
        self.queue_ms = max(self.queue_ms, self.host_ms) + milliseconds
        self.host_ms += 0.01

    def allocate(self, mib: int) -> None:
        self.allocated += mib * MIB
        self.peak = max(self.peak, self.allocated)

    # What the backend calls.

    def is_available(self) -> bool:
        return True

    def synchronize(self) -> None:
        self.waits += 1
        self.host_ms = max(self.host_ms, self.queue_ms)
        self.reached_ms = self.host_ms

    def memory_allocated(self) -> int:
        return self.allocated

    def max_memory_allocated(self) -> int:
        return self.peak

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.allocated

    def Event(self, enable_timing: bool) -> FakeEvent:  # noqa: N802 - torch's name
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.at_ms = float("nan")

    def record(self) -> None:
        self.at_ms = max(self._cuda.queue_ms, self._cuda.host_ms)

    def elapsed_time(self, end: FakeEvent) -> float:
        assert end.at_ms <= self._cuda.reached_ms, "read before the device was waited for"
        return end.at_ms - self.at_ms


class HostClock:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def mark(self) -> int:
        return round(self._cuda.host_ms * 1e6)

    def milliseconds(self, start: int, end: int) -> float:
        return (end - start) / 1e6


@dataclass
class CudaMethod:
    """Launches 30 ms of maps and 5 ms of matching without waiting, then returns."""

    cuda: FakeCuda
    info: MethodInfo = MethodInfo("fake", "launches work", "affine")  # noqa: RUF009 - frozen

    def prepare(self, device: str) -> None:
        assert device == "cuda"
        self.cuda.allocate(500)
        self.cuda.allocate(-400)

    def register(self, fixed: Image, moving: Image) -> Registration:
        with stage("maps"):
            self.cuda.allocate(40)
            self.cuda.launch(30)
        with stage("match"):
            self.cuda.launch(5)
        self.cuda.allocate(-40)
        return Registration(Affine.identity())


def test_a_call_waits_for_the_device_once_it_has_begun() -> None:
    cuda = FakeCuda()
    cuda.launch(1000)  # an earlier call's work must not count
    call = timed_call(CudaMethod(cuda), PAIR, CudaBackend(cuda), HostClock(cuda))
    assert cuda.waits == 2  # once before, once at the end
    assert call.outcome is Outcome.OK
    assert call.milliseconds == pytest.approx(35, abs=0.1)


def test_stages_have_the_devices_time_not_that_of_the_launch() -> None:
    cuda = FakeCuda()
    call = timed_call(CudaMethod(cuda), PAIR, CudaBackend(cuda), HostClock(cuda))
    assert call.stages == pytest.approx({"maps": 30, "match": 5}, abs=0.1)


def test_report_of_a_device() -> None:
    cuda = FakeCuda()
    report = measure_latency(
        {"fake": CudaMethod(cuda)},
        [PAIR],
        CudaBackend(cuda),
        LatencySettings(repeats=10, warmup=11),
        wall=HostClock(cuda),
    )
    found = report.methods[0]
    assert report.device == "cuda"
    assert found.registered.p50.estimate == pytest.approx(35, abs=0.1)
    assert found.memory.device_prepared == 100
    assert found.memory.device_call == 40


def test_a_machine_without_a_device_is_told_what_to_do() -> None:
    with pytest.raises(BadInput, match="--device cpu"):
        CudaBackend(SimpleNamespace(is_available=lambda: False))


class TorchMethod:
    """Two matrix products on the card, of which the first is much the larger."""

    info = MethodInfo("torch", "multiplies", "affine")

    def prepare(self, device: str) -> None:
        import torch

        self.large = torch.ones(4096, 4096, device=device)
        self.small = torch.ones(256, 256, device=device)

    def register(self, fixed: Image, moving: Image) -> Registration:
        with stage("large"):
            for _ in range(5):
                self.large @ self.large
        with stage("small"):
            self.small @ self.small
        return Registration(Affine.identity())


@pytest.mark.gpu
def test_a_real_card() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    report = measure_latency(
        {"torch": TorchMethod()}, [PAIR], CudaBackend(), LatencySettings(repeats=30)
    )
    found = report.methods[0]
    assert found.outcomes == {"ok": 30}
    assert 0 < found.stages["small"] < found.stages["large"]
    assert found.stages["large"] <= found.registered.p50.estimate * 1.05
    assert found.memory.device_prepared == pytest.approx(64.25, abs=2)
    assert found.memory.device_call is not None
    assert found.memory.device_call >= 64
