"""The command line: every command parses, calls one function and prints."""

from __future__ import annotations

import typer

from imedbench.cli import (
    align,
    check,
    compare,
    data,
    export,
    imports,
    latency,
    merge,
    new,
    plugins,
    register,
    report,
    run,
    score,
    show_row,
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


app.command("run")(run.run_command)
app.command("score")(score.score_command)
app.command("show")(show_row.show_command)
app.command("report")(report.report_command)
app.command("view")(report.view_command)
app.command("export")(export.export_command)
app.command("import")(imports.import_command)
app.command("merge")(merge.merge_command)
app.command("register")(register.register_command)
app.command("align")(align.align_command)
app.command("apply")(align.apply_command)
app.command("compare")(compare.compare_command)
app.command("verify")(compare.verify_command)
app.command("latency")(latency.latency_command)
app.command("sweep")(sweep.sweep_command)
app.command("train")(train.train_command)
app.command("list")(plugins.list_command)
app.command("info")(plugins.info_command)
app.command("check")(check.check_command)
app.command("new")(new.new_command)
app.add_typer(data.app, name="data")
