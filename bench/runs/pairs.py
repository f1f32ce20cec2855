"""The pairs of a run: each read as seldom as can be, and known by content."""

from __future__ import annotations

from collections.abc import Sequence

from imedbench.core.datasets import Dataset, DatasetInfo, PairRef
from imedbench.core.perceptual import perceptual_hash
from imedbench.core.types import ImagePair, Split
from imedbench.runs.hashing import pair_hash, truth_hash
from imedbench.runs.packages import source_hash
from imedbench.runs.rows import PairHashes
from imedbench.runs.store import Store

MAX_KEPT = 1 << 30  # bytes of pixels; a run of the usual size keeps all its pairs


class KeptPairs:
    """A data set that keeps the pairs it has read, for every method, the scoring and the report.

    Once `MAX_KEPT` is reached no further pair is kept: methods ask for the same pairs in the same
    order, and dropping old ones for new ones would keep none until it is asked for again.

    Args:
        dataset: the one to read from.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._kept: dict[tuple[Split, str], ImagePair] = {}
        self._bytes = 0
        self.has_read = False  # whether any pair was needed: if not, a run has nothing new

    @property
    def info(self) -> DatasetInfo:
        """What the data set is."""
        return self.dataset.info

    def refs(self, split: Split) -> Sequence[PairRef]:
        """Return the pairs of a split."""
        return self.dataset.refs(split)

    def load(self, ref: PairRef) -> ImagePair:
        """Read one pair, or give it again."""
        name = (ref.split, ref.pair_id)
        if name in self._kept:
            return self._kept[name]
        self.has_read = True
        pair = self.dataset.load(ref)
        self._bytes += pair.fixed.pixels.nbytes + pair.moving.pixels.nbytes
        if self._bytes <= MAX_KEPT:
            self._kept[name] = pair
        return pair

    def fingerprint(self, ref: PairRef) -> str:
        """Say what the data set says of a pair without reading it; empty if it says nothing."""
        said = getattr(self.dataset, "fingerprint", None)
        if said is None:
            return ""
        # Another way of reading makes other pixels of the same files.
        return f"{source_hash(type(self.dataset).__module__)} {said(ref)}"


class PairIndex:
    """What the pairs consist of: from the store where nothing has changed, else by reading them.

    Args:
        store: of the run.
        pairs: to read from.
    """

    def __init__(self, store: Store, pairs: KeptPairs) -> None:
        self.store, self.pairs = store, pairs
        self._known = store.hashes()

    def hashes(self, ref: PairRef) -> PairHashes:
        """Return the hashes of one pair.

        Raises:
            BadInput: when it has to be read and cannot.
        """
        name, now = (ref.split, ref.pair_id), self.pairs.fingerprint(ref)
        known = self._known.get(name)
        if known is None or not now or known.fingerprint != now:
            pair = self.pairs.load(ref)
            known = PairHashes(now, pair_hash(pair), truth_hash(pair), _offers(pair), _looks(pair))
            self.store.set_hashes(ref, known)
            self._known[name] = known
        return known


def _looks(pair: ImagePair) -> str:
    return " ".join(map(perceptual_hash, (pair.fixed, pair.moving)))


def _offers(pair: ImagePair) -> str:
    offers = {
        "landmarks": pair.truth.moving_points is not None,
        "spacing": pair.truth.spacing_um is not None,
    }
    return " ".join(name for name, there in offers.items() if there)
