"""What the figures of a benchmark allow to say: intervals, paired tests, ranks."""

from imedbench.analysis.statistics.intervals import (
    Interval,
    bootstrap_mean,
    quantile_interval,
    wilson_interval,
)
from imedbench.analysis.statistics.paired import (
    PairedComparison,
    compare_paired,
    hodges_lehmann,
    holm,
    mcnemar_exact,
    paired_differences,
    rank_biserial,
    wilcoxon_signed_rank,
)
from imedbench.analysis.statistics.power import minimum_detectable_difference
from imedbench.analysis.statistics.ranking import (
    CriticalDifference,
    RankStability,
    critical_difference,
    rank_stability,
)

__all__ = [
    "CriticalDifference",
    "Interval",
    "PairedComparison",
    "RankStability",
    "bootstrap_mean",
    "compare_paired",
    "critical_difference",
    "hodges_lehmann",
    "holm",
    "mcnemar_exact",
    "minimum_detectable_difference",
    "paired_differences",
    "quantile_interval",
    "rank_biserial",
    "rank_stability",
    "wilcoxon_signed_rank",
    "wilson_interval",
]
