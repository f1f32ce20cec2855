"""The first loop: every method on every pair, one stored row each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from imedbench.core.datasets import Dataset, PairRef
from imedbench.core.errors import BadInput, ConfigDrift, Declined
from imedbench.core.options import PluginSpec
from imedbench.core.progress import NullProgress, Progress
from imedbench.core.registry import METHODS
from imedbench.core.types import ImagePair, MethodInfo, Outcome, Registration
from imedbench.runs.config import RunConfig, has_drifted, write_run
from imedbench.runs.diagnostics import remove_diagnostics, save_diagnostics
from imedbench.runs.environment import code_hash, provenance
from imedbench.runs.hashing import pair_hash, prediction_key, seed_for
from imedbench.runs.locking import only_writer
from imedbench.runs.store import Prediction, Store
from imedbench.runs.validity import check_transform
from imedbench.runs.worker import CallResult, Task, Worker, WorkerSettings


def run(config: RunConfig, dataset: Dataset, progress: Progress | None = None) -> None:
    """Fill a run folder: what has a row is left alone, what has none is computed.

    Rows of a crash or a skip are no answers and are tried again.

    Args:
        config: what to do.
        dataset: the opened data set of ``config.data``.
        progress: is told of every row.

    Raises:
        BadInput: for an unknown method or option, or no pairs, before anything is written; or when
            another process writes to the folder.
        ConfigDrift: when the folder holds rows made in another way.
    """
    progress = progress or NullProgress()
    methods = {method.spec: method for method in map(look_up, config.methods)}
    refs = [ref for split in config.splits for ref in wanted(config, dataset.refs(split))]
    if not refs:
        raise BadInput(f"{config.data}: no pairs in subset {config.subset!r}")
    drifted = has_drifted(config, dataset)
    with closing(Store(config.out, create=True)) as store, only_writer(config.out):
        if drifted:
            store.forget_everything()
        elif config.recompute:
            store.forget_pairs()
        write_run(config, dataset, provenance(config.device, config.threads))
        store.set_pairs(refs)
        progress.begin(len(methods) * len(refs))
        for method in methods.values():
            progress.method(method.spec)
            _MethodRun(config, dataset, store, method, progress).run(refs)


@dataclass(frozen=True)
class MethodHandle:
    """A method that a run is to use.

    Args:
        spec: with its options sorted.
        code: hash of its source.
        info: what it is; None where it declines to be built here.
    """

    spec: str
    code: str
    info: MethodInfo | None


def look_up(text: str) -> MethodHandle:
    """Find a method and make sure that its options fit.

    Raises:
        BadInput: when there is no such method or option.
    """
    spec = PluginSpec.parse(text)
    code = code_hash(METHODS.factory(spec.name))
    try:
        return MethodHandle(str(spec), code, METHODS.create(spec).info)
    except Declined:  # the worker meets the same and writes the reason into every row
        return MethodHandle(str(spec), code, None)


def wanted(config: RunConfig, refs: Sequence[PairRef]) -> list[PairRef]:
    """The pairs of one split that the settings leave."""
    return [r for r in refs if config.subset in ("all", r.subset)][: config.limit]


class _MethodRun:
    """One method over its pairs, in as many workers as the settings say."""

    def __init__(
        self,
        config: RunConfig,
        dataset: Dataset,
        store: Store,
        method: MethodHandle,
        progress: Progress,
    ) -> None:
        self.config, self.dataset, self.store = config, dataset, store
        self.method, self.spec, self.progress = method, method.spec, progress
        self.stored = store.keys(method.spec)
        self._lock = threading.Lock()  # one writer at a time
        self._stopping = threading.Event()

    def run(self, refs: Sequence[PairRef]) -> None:
        """Compute what has no row."""
        self.store.set_method(self.spec, self.method.info)
        jobs: SimpleQueue[PairRef] = SimpleQueue()
        for ref in refs:
            jobs.put(ref)
        workers = min(self.config.workers, len(refs))
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self._drain, jobs) for _ in range(workers)]
            try:
                for future in futures:
                    future.result()
            finally:  # after Ctrl-C the pairs in flight are finished and no others begun
                self._stopping.set()

    def _drain(self, jobs: SimpleQueue[PairRef]) -> None:
        c = self.config
        settings = WorkerSettings(self.spec, c.plugins, c.device, c.threads)
        worker = Worker(settings, c.timeout_s)
        try:
            while not self._stopping.is_set():
                self._complete(jobs.get_nowait(), worker)
        except Empty:
            return
        except BaseException:
            self._stopping.set()
            raise
        finally:
            worker.close()

    def _complete(self, ref: PairRef, worker: Worker) -> None:
        """See to it that the pair has a valid row."""
        pair = self.dataset.load(ref)
        key = self._key(ref, pair)
        if not self._has_row(ref, key):
            seed = seed_for(self.config.seed, ref.split, ref.pair_id)
            answer = worker.call(Task(pair.fixed, pair.moving, seed))
            prediction = self._judged(ref, pair, key, answer)
            with self._lock:
                if answer.registration is not None and self.config.diagnostics:
                    save_diagnostics(self.config.out, key, answer.registration.diagnostics)
                self.store.add_prediction(prediction)
        self.progress.row(self.spec, ref.pair_id)

    def _key(self, ref: PairRef, pair: ImagePair) -> str:
        data, method = self.dataset.info, self.method.info
        return prediction_key(
            method=self.spec,
            code=self.method.code,
            weights=method.weights if method else "",
            version=method.version if method else "",
            data=f"{data.name} {data.version} {ref.split}",
            pair=pair_hash(pair),
            seed=self.config.seed,
        )

    def _has_row(self, ref: PairRef, key: str) -> bool:
        """Whether the stored row, if any, is an answer; one that is not is taken out."""
        if (ref.split, ref.pair_id) not in self.stored:
            return False
        old_key, outcome = self.stored[ref.split, ref.pair_id]
        if old_key == key and outcome.is_answer:
            return True
        if old_key != key and outcome.is_answer and not self.config.recompute:
            raise ConfigDrift(
                f"{self.config.out}: its row of {self.spec} on {ref.pair_id} was made with other"
                " code, weights or images; give another --out, or --recompute to replace it"
            )
        with self._lock:
            self.store.remove(old_key)
            remove_diagnostics(self.config.out, old_key)
        return False

    def _judged(self, ref: PairRef, pair: ImagePair, key: str, answer: CallResult) -> Prediction:
        outcome, reason = answer.outcome, answer.reason
        result = answer.registration or Registration.failed("none")
        if result.fixed_from_moving is not None:
            transform = result.fixed_from_moving
            try:
                outcome, reason = check_transform(transform, pair.fixed.shape, pair.moving.shape)
            except Exception as error:  # a plugin may bring a transform of its own
                outcome, reason = Outcome.CRASH, f"its transform raised {error!r}"
        return Prediction(
            key=key,
            method=self.spec,
            split=ref.split,
            pair_id=ref.pair_id,
            outcome=outcome,
            reason=reason,
            transform=result.fixed_from_moving,
            confidence=result.confidence,
            latency_ms=answer.latency_ms,
            timed_alone=self.config.workers == 1,
            stages=answer.stages,
            details=dict(result.diagnostics.values),
        )
