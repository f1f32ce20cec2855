"""`imedbench data`: check and look at data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from imedbench.cli.options import ForceOption, JsonOption, PluginsOption, load_plugins

app = typer.Typer(help="Check and look at data sets.", no_args_is_help=True)


@app.command("check")
def check_command(
    data: Annotated[str, typer.Argument(help="Data set by name or path.", show_default=False)],
    plugin: PluginsOption = None,
    json: JsonOption = False,
) -> None:
    """Read every file of a data set, say what is in it and name every mistake.

    Example:

    imedbench data check my/pairs.csv
    """
    from imedbench.cli.terminal import ProgressBar, output, print_json, print_table
    from imedbench.core.datasets import open_dataset
    from imedbench.methods.weights import names as weight_names
    from imedbench.methods.weights import read_card
    from imedbench.runs.check_data import check_dataset

    load_plugins(plugin)
    trained = {name: read_card(name).training_images for name in weight_names()}
    with ProgressBar("checking") as progress:
        result = check_dataset(open_dataset(data), trained, progress)
    if json:
        print_json(result.as_dict())
    else:
        headers = ["split", "pairs", "eyes", "train / test", "modalities", "sizes px", "landmarks"]
        print_table(result.title, headers, result.rows())
        for remark in result.remarks:
            output.print(f"note: {remark}", highlight=False)
        for mistake in result.mistakes:
            output.print(f"mistake: {mistake}", style="red", highlight=False)
    if result.mistakes:
        raise typer.Exit(2)


@app.command("translate")
def translate_command(
    data: Annotated[str, typer.Argument(help="Data set by name or path.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    transfer_weights: Annotated[
        Path | None, typer.Option(help="Generator to use in place of the shipped one.")
    ] = None,
    plugin: PluginsOption = None,
) -> None:
    """Write the single-modal split as files: the colour fundus of every pair, shown as OCTA.

    OUT/fake_OCTA is what the IMED folders take, OUT/pairs.csv what any other tool reads.

    Example:

    imedbench data translate my/pairs.csv translated
    """
    from imedbench.cli.terminal import ProgressBar, output
    from imedbench.core.datasets import open_dataset, with_weights
    from imedbench.core.errors import BadInput
    from imedbench.datasets.export import write_dataset

    load_plugins(plugin)
    dataset = open_dataset(with_weights(data, transfer_weights))
    if dataset.info.translator is None:
        raise BadInput(f"{data}: not a data set whose images are translated")
    with ProgressBar("translating") as progress:
        page = write_dataset(dataset, out, progress)
    output.print(f"wrote {page}", highlight=False)


@app.command("fingerprint")
def fingerprint_command(
    cards: Annotated[list[Path], typer.Argument(help="Cards of weights.", show_default=False)],
    root: Annotated[Path, typer.Option(help="Folder of the data sets they were trained on.")],
) -> None:
    """Write into cards of weights which images they were trained on, as hashes.

    The hashes tell a copy of a training image under any name, and show nothing of it.

    Example:

    imedbench data fingerprint trainings/cyclegan/cf_to_octa.json --root data
    """
    from imedbench.cli.terminal import output
    from imedbench.methods.training.vessel_folders import hash_images
    from imedbench.methods.weights import read_card, write_card

    for path in cards:
        card = read_card(path.stem, path.parent)
        folders = [root / name.partition("/")[0] for name in card.trained_on]
        hashes = hash_images(dict.fromkeys(folders))
        write_card(replace(card, training_images=hashes), path)
        output.print(f"{path}: {len(hashes)} training images", highlight=False)


@app.command("make-synthetic")
def make_synthetic_command(
    out: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    pairs: Annotated[int, typer.Option(min=1, help="How many.")] = 13,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds give other eyes.")] = 0,
    level: Annotated[str, typer.Option(help="easy, imed, hard or fields.")] = "imed",
    size: Annotated[int, typer.Option(min=64, help="Width and height, px.")] = 512,
) -> None:
    """Write synthetic pairs as files, with the pairs.csv that this and other tools read.

    Example:

    imedbench data make-synthetic eyes --pairs 100 --seed 1
    """
    from imedbench.cli.terminal import output, remarks
    from imedbench.core.options import PluginSpec
    from imedbench.core.registry import DATASETS
    from imedbench.datasets.export import write_dataset

    options = {"pairs": pairs, "seed": seed, "level": level, "size": size}
    spec = PluginSpec("synthetic", {name: str(value) for name, value in options.items()})
    with remarks.status(f"drawing {pairs} pairs"):
        page = write_dataset(DATASETS.create(spec), out)
    output.print(f"wrote {page}", highlight=False)


@app.command("render-eyes")
def render_eyes_command(
    out: Annotated[Path, typer.Argument(help="Folder to fill.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 400,
    first: Annotated[int, typer.Option(min=0, help="Number of the first.")] = 0,
) -> None:
    """Draw synthetic eyes as several devices show them, for `imedbench train joint`.

    Example:

    imedbench data render-eyes eyes --count 1900
    """
    from imedbench.cli.terminal import ProgressBar, output
    from imedbench.datasets.synthetic.rendered_eyes import render_eyes

    with ProgressBar("drawing") as progress:
        render_eyes(out, range(first, first + count), progress=progress)
    output.print(f"wrote {out}", highlight=False)


@app.command("show")
def show_command(
    data: Annotated[str, typer.Argument(help="Data set by name or path.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")] = Path("contact.png"),
    split: Annotated[str, typer.Option(help="multi-modal or single-modal.")] = "multi-modal",
    count: Annotated[int, typer.Option(min=1, help="Pairs to show.")] = 12,
    force: ForceOption = False,
    plugin: PluginsOption = None,
) -> None:
    """Draw the first pairs of a data set on one sheet.

    Example:

    imedbench data show synthetic:level=hard --out hard.png
    """
    from imedbench.cli.options import checked_split
    from imedbench.cli.terminal import output, remarks
    from imedbench.core.datasets import open_dataset
    from imedbench.core.images import write_image
    from imedbench.datasets.contact_sheet import contact_sheet
    from imedbench.runs.output import check_target

    load_plugins(plugin)
    check_target(out, force=force)
    with remarks.status("drawing"):
        sheet = contact_sheet(open_dataset(data), checked_split(split), count=count)
    write_image(out, sheet)
    output.print(f"wrote {out}", highlight=False)
