"""Settings from TOML and the choice of a training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from imedbench.core.errors import BadInput
from imedbench.methods import training
from imedbench.methods.training.config import TrainingConfig, read_config, write_config


@dataclass(frozen=True, kw_only=True)
class Settings(TrainingConfig):
    widths: tuple[int, ...] = (1, 2)
    name: str = "é"
    share: float = 0.5
    on: bool = False


def test_every_setting_is_written_and_read_back(tmp_path: Path) -> None:
    settings = Settings(widths=(3, 4, 5), name='a "b"', share=1e-7, on=True, epochs=3)
    path = tmp_path / "new" / "config.toml"
    write_config(settings, path)
    assert read_config(Settings, path) == settings
    text = path.read_text(encoding="utf-8")
    assert all(f"{field.name} = " in text for field in fields(Settings))


def test_defaults_fill_what_a_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("share = 1\n")
    assert read_config(Settings, path) == Settings(share=1.0)
    assert read_config(Settings, None) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown setting 'epoch'; did you mean epochs?"),
        ("share = 'x'", 'share = "x": not a number'),
        ("share = nan", "share = NaN: not a number"),
        ("epochs = 2.5", "epochs = 2.5: not a whole number"),
        ("on = 1", "on = 1: say on or off"),
        ("widths = 3", "widths = 3: Expected array"),
        ("widths = [1, 'x']", "Expected int, got str"),
        ("batch_size = 0", "batch_size = 0: must be >= 1"),
        ("epochs = -1", "epochs = -1: must be >= 1"),
        ("learning_rate = 0.0", "learning_rate = 0.0: must be > 0"),
        ("learning_rate = nan", "learning_rate = NaN:"),
        ("share = ", "not valid TOML"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"c\.toml") as caught:
        read_config(Settings, path)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such config file"):
        read_config(Settings, tmp_path / "none.toml")


def test_a_folder_and_another_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_config(Settings, tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes('name = "\xe9"'.encode("latin-1"))
    with pytest.raises(BadInput, match=r"latin\.toml: not valid TOML in UTF-8"):
        read_config(Settings, path)


def test_an_unknown_training_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="known are segmentation"):
        training.run("vessels", None, [], tmp_path)


@pytest.mark.parametrize("task", sorted(training.TASKS))
def test_shipped_settings_fit_their_task(task: str) -> None:
    pytest.importorskip("lightning")
    module, config = training.load_task(task)
    settings = read_config(config, training.FOLDER / f"{task}.toml")
    assert settings.epochs > 0
    assert callable(module.build)
