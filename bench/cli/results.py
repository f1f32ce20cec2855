"""The table at the end of a run."""

from __future__ import annotations

import pandas as pd

from imedbench.analysis.run import Run
from imedbench.analysis.tables import summary_table, unanswered
from imedbench.cli.show import number, output, print_json, print_table, remarks

HEADLINE = ("mse", "rmse", "tre_mean")


def show_results(run: Run, *, as_json: bool = False) -> bool:
    """Print what came out of a run.

    Args:
        run: scored.
        as_json: JSON instead of tables.

    Returns:
        Whether every pair has an answer.
    """
    table = run.table()
    metrics = [c for c in table.columns if f"{c}|identity" in table]
    summary = summary_table(table, metrics)
    missing = unanswered(table)
    if as_json:
        print_json(
            {
                "run": str(run.folder),
                "complete": missing.empty,
                "warnings": run.warnings(),
                "remarks": run.remarks(),
                "summary": summary.astype(object).where(summary.notna(), None).to_dict("records"),
                "provenance": run.settings["provenance"],
            }
        )
    else:
        for split, part in summary.groupby("split", sort=False):
            _print_split(run, str(split), part)
        output.print(_licences(run), style="dim", highlight=False)
        for remark in run.remarks():
            output.print(f"note: {remark}", style="dim", highlight=False)
        for warning in run.warnings():
            output.print(f"warning: {warning}", style="yellow", highlight=False)
        output.print(_legend(), style="dim", highlight=False)
        output.print(f"Rows in {run.folder}; pictures by: imedbench report {run.folder}")
    if not missing.empty:
        first = missing.iloc[0]
        remarks.print(
            f"incomplete: {len(missing)} of {len(table)} rows have no answer, first {first.method}"
            f" on {first.pair_id} ({first.outcome}: {first.reason})",
            style="yellow",
            highlight=False,
        )
    return missing.empty


def _print_split(run: Run, split: str, part: pd.DataFrame) -> None:
    headers = ["method", "MSE", "RMSE", "failures", "TRE px", "TRE px ok", "latency ms"]
    rows = [
        [
            str(row["method"]),
            number(row.get("mse"), 3),
            number(row.get("rmse"), 3),
            f"{row['failures']} of {row['n']}",
            number(row.get("tre_mean")),
            number(row.get("tre_mean|ok")),
            number(row["latency_ms"], 0 if row["latency_ms"] >= 10 else 2),
        ]
        for row in part.to_dict("records")
    ]
    print_table(f"{run.dataset.info.name}, {split}", headers, rows)


def _legend() -> str:
    return (
        "MSE, RMSE: of vessel maps. A failed pair is charged the score of the pair left as it is;"
        " 'ok' means are over the successes. Latency: median of the calls, timed alone."
    )


def _licences(run: Run) -> str:
    """Under which licences the weights of the methods are."""
    by_method = {
        spec: info.weights_licence
        for spec, info in run.store.methods().items()
        if info is not None and info.weights_licence != "none"
    }
    named = ", ".join(f"{spec} {licence}" for spec, licence in by_method.items())
    return f"Licences of weights: {named or 'no method has any'}."
