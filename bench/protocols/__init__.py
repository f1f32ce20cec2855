"""Named, versioned rules by which papers grade registrations."""

from imedbench.core.errors import BadInput
from imedbench.protocols.evidence import Grade, PairEvidence, Protocol, ProtocolResult
from imedbench.protocols.fire import GLAMPOINTS, RETINAREGNET, SUPERRETINA
from imedbench.protocols.imed import LAB, SEED
from imedbench.protocols.ranks import RankTable, rank_table

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (SEED, LAB, SUPERRETINA, GLAMPOINTS, RETINAREGNET)
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        BadInput: when there is none.
    """
    if name not in PROTOCOLS:
        raise BadInput(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


__all__ = [
    "PROTOCOLS",
    "Grade",
    "PairEvidence",
    "Protocol",
    "ProtocolResult",
    "RankTable",
    "find_protocol",
    "rank_table",
]
