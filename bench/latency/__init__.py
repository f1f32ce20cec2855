"""Latency of methods, measured so that it stands up in review."""

from imedbench.latency.backends import Backend, CudaBackend, HostBackend, HostMemory, backend_for
from imedbench.latency.calls import TimedCall, Warmup, timed_call
from imedbench.latency.harness import LatencyReport, measure_latency
from imedbench.latency.nvml import CardNotes, card_notes
from imedbench.latency.settings import LatencySettings, Precision, refuse_parallel
from imedbench.latency.summary import MemoryUse, MethodLatency, Quantiles, quantiles
from imedbench.latency.throughput import BatchMethod, Throughput

__all__ = [
    "Backend",
    "BatchMethod",
    "CardNotes",
    "CudaBackend",
    "HostBackend",
    "HostMemory",
    "LatencyReport",
    "LatencySettings",
    "MemoryUse",
    "MethodLatency",
    "Precision",
    "Quantiles",
    "Throughput",
    "TimedCall",
    "Warmup",
    "backend_for",
    "card_notes",
    "measure_latency",
    "quantiles",
    "refuse_parallel",
    "timed_call",
]
