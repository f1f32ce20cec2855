"""The first loop: every method on every pair, one stored row each."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice

from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.errors import ConfigDrift
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.text import as_text
from imedbench.core.types import Outcome
from imedbench.runs.batches import BATCH, Batches, BatchSettings, OneByOne, Results, Tasks
from imedbench.runs.calls import CallResult, Task
from imedbench.runs.config import RunConfig, has_drifted, write_run
from imedbench.runs.environment import provenance
from imedbench.runs.files import log_file, save_diagnostics
from imedbench.runs.handles import MethodHandle, look_up
from imedbench.runs.hashing import prediction_key, seed_for
from imedbench.runs.pairs import KeptPairs, PairIndex
from imedbench.runs.plan import Plan
from imedbench.runs.rows import Prediction
from imedbench.runs.services import Caller, WorkerSettings
from imedbench.runs.shards import pairs_digest
from imedbench.runs.store import Store


def run(config: RunConfig, dataset: Dataset, progress: Progress | None = None) -> None:
    """Fill a run folder: what has a row is left alone, what has none is computed.

    Rows of a crash, a skip or an unreadable file are no answers and are tried again.

    Args:
        config: what to do.
        dataset: the opened data set of ``config.data``.
        progress: is told of every row.

    Raises:
        BadInput: for an unknown method or option, or no pairs, before anything is written; or when
            another process writes to the folder.
        ConfigDrift: when the folder holds rows made in another way.
        KeyboardInterrupt: after Ctrl-C, when the pairs in flight are finished and stored.
    """
    progress = progress or NullProgress()
    methods = {method.spec: method for method in map(look_up, config.methods)}
    plan = Plan(config, dataset)
    drifted = has_drifted(config, dataset)
    with closing(Store(config.out, create=True)) as store, store.only_writer():
        if drifted:
            store.forget_everything()
        elif config.recompute:
            store.forget_pairs()
        factories = [method.factory for method in methods.values()]
        machine = provenance(config.device, config.threads, factories)
        code = {method.spec: method.code for method in methods.values()}
        write_run(config, dataset, machine, pairs=pairs_digest(plan.whole), code=code)
        store.set_pairs(plan.refs, plan.positions)
        pairs = dataset if isinstance(dataset, KeptPairs) else KeptPairs(dataset)
        index = PairIndex(store, pairs)
        progress.begin(len(methods) * len(plan.refs) * (1 + config.swapped))
        with _asked_to_stop() as stop:
            for method in methods.values():
                progress.method(method.spec)
                _MethodRun(config, index, method, progress, stop).run(plan.refs)
        if stop.is_set():
            raise KeyboardInterrupt


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nfinishing the pairs in flight; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Job:
    """A row to be made."""

    ref: PairRef
    key: str
    swapped: bool


class _MethodRun:
    """One method over its pairs, in as many workers as the settings say."""

    def __init__(
        self,
        config: RunConfig,
        index: PairIndex,
        method: MethodHandle,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self.config, self.index, self.store = config, index, index.store
        self.method, self.spec, self.progress, self.stop = method, method.spec, progress, stop
        self.stored = self.store.keys(method.spec)

    def run(self, refs: Sequence[PairRef]) -> None:
        """Compute what has no row."""
        self.store.set_method(self.spec, self.method.info, self.config.splits)
        c, size = self.config, self.method.batch_size(self.config.device)
        with c.execution.executor(self._caller, c.threads, self._gpus) as executor:
            for jobs, results in executor.results(_together(self._jobs(refs), size)):
                for job, result in zip(jobs, results, strict=True):
                    self._keep(job, result)

    @property
    def _gpus(self) -> int:
        info = self.method.info
        return int(self.config.device.startswith("cuda") and bool(info and info.uses_cuda))

    def _caller(self) -> Caller[Tasks, Results]:
        """What calls the method in one place, with one pair or with several."""
        c, gpus = self.config, self._gpus
        settings = WorkerSettings(
            self.spec, c.plugins, c.device, c.threads, c.execution.times_alone, c.memory_gib
        )
        log = log_file(c.out, self.spec)
        alone = c.execution.caller(settings, c.timeout_s, log, gpus)
        size = self.method.batch_size(c.device)
        if size == 1:
            return OneByOne(alone)
        together = BatchSettings(settings)
        return Batches(c.execution.caller(together, size * c.timeout_s, log, gpus), alone)

    def _jobs(self, refs: Sequence[PairRef]) -> Iterator[tuple[_Job, Task]]:
        """What is to be computed; a pair that cannot be read gets its row here."""
        for ref in refs:
            for swapped in (False, True)[: 1 + self.config.swapped]:
                if self.stop.is_set():
                    return
                try:
                    job = _Job(ref, self._key(ref, self.index.hashes(ref).images, swapped), swapped)
                    if self._has_row(job):
                        self.progress.row(self.spec, ref.pair_id)
                        continue
                    pair = self.index.pairs.load(ref)
                except (ConfigDrift, sqlite3.Error):  # the run's own, no matter of the pair
                    raise
                except Exception as error:  # a data set may be a plugin
                    job = _Job(ref, self._key(ref, "", swapped), swapped)
                    self._has_row(job)
                    self._keep(job, CallResult(Outcome.UNREADABLE, as_text(error)))
                    continue
                seed = seed_for(self.config.seed, ref.split, ref.pair_id)
                task = Task(pair.fixed, pair.moving, seed)
                yield job, task.swapped() if swapped else task

    def _key(self, ref: PairRef, images: str, swapped: bool) -> str:
        data, method = self.index.pairs.info, self.method.info
        return prediction_key(
            method=self.spec,
            code=self.method.code,
            weights=method.weights if method else "",
            version=method.version if method else "",
            data=f"{data.name} {data.version} {ref.split} {ref.pair_id}{' swapped' * swapped}",
            pair=images,
            seed=self.config.seed,
        )

    def _has_row(self, job: _Job) -> bool:
        """Whether the stored row, if any, is an answer; one that is not is taken out."""
        old = self.stored.get((job.ref.split, job.ref.pair_id, job.swapped))
        if old is None:
            return False
        old_key, outcome = old
        if outcome in self.config.retry:
            self.store.remove(old_key)
            return False
        if old_key == job.key and outcome.is_answer:
            return True
        if old_key != job.key and outcome.is_answer and not self.config.recompute:
            raise ConfigDrift(
                f"{self.config.out}: its row of {self.spec} on {job.ref.pair_id} was made with"
                " other code, weights or images; give another --out, or --recompute to replace it"
            )
        self.store.remove(old_key)
        return False

    def _keep(self, job: _Job, result: CallResult) -> None:
        """Store what came of a job."""
        if self.config.diagnostics and not job.swapped:
            save_diagnostics(self.config.out, job.key, result.pictures, result.matches)
        self.store.add_prediction(
            Prediction(
                key=job.key,
                method=self.spec,
                split=job.ref.split,
                pair_id=job.ref.pair_id,
                swapped=job.swapped,
                outcome=result.outcome,
                reason=result.reason,
                transform=result.transform,
                confidence=result.confidence,
                latency_ms=result.latency_ms if result.outcome.is_answer else None,
                timed_alone=self.config.execution.times_alone and BATCH not in result.details,
                stages=result.stages,
                details=result.details,
            )
        )
        self.progress.row(self.spec, job.ref.pair_id)


def _together(
    jobs: Iterator[tuple[_Job, Task]], size: int
) -> Iterator[tuple[tuple[_Job, ...], Tasks]]:
    """Jobs in groups of a size; the last one may be smaller."""
    while group := tuple(islice(jobs, size)):
        yield tuple(job for job, _ in group), tuple(task for _, task in group)
