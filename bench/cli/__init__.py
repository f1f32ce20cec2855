"""The command line: every command parses, calls one function and prints."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import typer

from imedbench.cli import (
    align,
    check,
    compare,
    data,
    export,
    export_network,
    imports,
    latency,
    merge,
    new,
    plugins,
    register,
    report,
    run,
    score,
    show,
    sweep,
    train,
)

app = typer.Typer(
    name="imedbench",
    help="Which registration method should I trust on my multi-modal retinal images?",
    epilog="Start with: imedbench run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from imedbench import __version__

        typer.echo(f"imedbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
    traceback: bool = typer.Option(False, "--traceback", help="Show where an error comes from."),
) -> None:
    """Which registration method should I trust on my multi-modal retinal images?"""


COMMANDS: dict[str, Callable[..., None]] = {
    "run": run.run_command,
    "score": score.score_command,
    "show": show.show_command,
    "report": report.report_command,
    "view": report.view_command,
    "export": export.export_command,
    "import": imports.import_command,
    "merge": merge.merge_command,
    "register": register.register_command,
    "align": align.align_command,
    "apply": align.apply_command,
    "compare": compare.compare_command,
    "verify": compare.verify_command,
    "latency": latency.latency_command,
    "sweep": sweep.sweep_command,
    "train": train.train_command,
    "export-network": export_network.export_network_command,
    "list": plugins.list_command,
    "info": plugins.info_command,
    "check": check.check_command,
    "new": new.new_command,
}


def _help(command: Callable[..., None]) -> str:
    """The docstring, its paragraphs on one line each: the terminal breaks them where it ends."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for name, command in COMMANDS.items():
    app.command(name, help=_help(command))(command)
app.add_typer(data.app, name="data")
