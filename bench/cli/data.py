"""`imedbench data`: check and look at data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from imedbench.cli.options import JsonOption

app = typer.Typer(help="Check and look at data sets.", no_args_is_help=True)


@app.command("check")
def check_command(
    data: Annotated[str, typer.Argument(help="Data set by name or path.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Read every file of a data set and say what is in it.

    Example:

    imedbench data check my/pairs.csv
    """
    from imedbench.checking import check_dataset
    from imedbench.cli.show import ProgressBar, output, print_json, print_table
    from imedbench.opening import open_dataset

    with ProgressBar("checking") as progress:
        result = check_dataset(open_dataset(data), progress)
    if json:
        print_json(result.as_dict())
        return
    headers = ["split", "pairs", "eyes", "train / test", "modalities", "sizes px", "landmarks"]
    print_table(result.title, headers, result.rows())
    for remark in result.remarks:
        output.print(f"note: {remark}", highlight=False)
