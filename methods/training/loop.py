"""The loop that every training shares: data by epoch, checkpoints, logs, pictures, early stop."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from imedbench.core.errors import BadInput
from imedbench.methods import weights
from imedbench.methods.training.callbacks import EpochRecord, SamplePictures
from imedbench.methods.training.config import Config, TrainingConfig, write_config
from imedbench.methods.training.task import SCORE, TrainingTask
from imedbench.methods.training.vessel_folders import hash_images

Task = TypeVar("Task", bound=TrainingTask[Any])


def train(
    build: Callable[[Config, Sequence[Path]], Task],
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
) -> Task:
    """Build a task from its data and train it; see `fit`.

    Args:
        build: reads the data folders and makes the task.
        config: settings.
        data: folders, in the order the task documents.
        out: the run folder.
        resume: go on from the last checkpoint.

    Returns:
        The task with the weights that were kept.

    Raises:
        BadInput: when the data or the devices asked for are not there.
    """
    _check_devices(config)
    L.seed_everything(config.seed, verbose=False)
    task = build(config, data)
    return fit(task, out, resume=resume, trained_on=task.seen(data), data=task.photographed(data))


def _check_devices(config: TrainingConfig) -> None:
    """Refuse what is not there: the processes of a training would wait for one another for ever."""
    gpus = 0 if config.accelerator == "cpu" else torch.cuda.device_count()
    if config.accelerator == "gpu" and not gpus:
        raise BadInput('accelerator = "gpu": torch finds no GPU here; say "cpu" or "auto"')
    most, kind = (gpus, "GPUs") if gpus else (os.cpu_count() or 1, "CPU cores")
    if config.devices > most:
        raise BadInput(f"devices = {config.devices}: there are {most} {kind} here")


def fit(
    task: Task,
    out: Path,
    *,
    resume: bool = False,
    trained_on: tuple[str, ...] = (),
    data: Sequence[Path] = (),
) -> Task:
    """Train a task, or go on with it, and leave its run folder complete.

    The folder gets ``config.toml`` with every setting, ``checkpoints/{last,best}.ckpt``,
    ``log/start_N/metrics.csv``, ``tensorboard/``, ``samples/epoch_N.png`` and, of the best or last
    epoch, ``NAME.safetensors`` with its card.

    Args:
        task: freshly built.
        out: the run folder.
        resume: go on from ``checkpoints/last.ckpt``.
        trained_on: names of the data for the cards.
        data: folders of the data, whose images the cards know again.

    Returns:
        The task with the weights that were kept.

    Raises:
        BadInput: when there is nothing to resume, or something that a new run would overwrite.
    """
    last = out / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise BadInput(f"{last}: nothing to resume; start without --resume")
    if not resume and last.is_file():
        raise BadInput(f"{out}: holds a training already; add --resume or name another folder")
    config: TrainingConfig = task.config
    if config.threads:
        torch.set_num_threads(config.threads)
        cv2.setNumThreads(config.threads)
    write_config(config, out / "config.toml")
    record = EpochRecord(config.minutes, SCORE)
    best, newest = _checkpoints(task, out / "checkpoints")
    callbacks = [record, SamplePictures(out / "samples"), _early(task), best, newest]
    trainer = _trainer(config, out, callbacks)
    try:
        trainer.fit(task, ckpt_path=last if resume else None, weights_only=True)
    except pickle.UnpicklingError as error:  # it holds more than numbers, and no code is run for it
        raise BadInput(f"{last}: not a checkpoint that a training here has written") from error
    kept = best.best_model_path if task.keeps_best else last
    state = torch.load(kept, map_location="cpu", weights_only=True)
    task.load_state_dict(state["state_dict"])
    steps = (state["epoch"] + 1) * config.steps_per_epoch
    score = record.score
    if task.keeps_best and best.best_model_score is not None:
        score = float(best.best_model_score)
    if trainer.is_global_zero:
        _keep(task, out, steps, record.seconds, score, trained_on, data)
    return task


def _checkpoints(task: TrainingTask[Any], folder: Path) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """Keep the best epoch and, to resume from, the newest; in this order, so that it knows both."""
    best = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=SCORE,
        mode=task.score_mode,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    newest = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    return best, newest


def _early(task: TrainingTask[Any]) -> EarlyStopping:
    return EarlyStopping(monitor=SCORE, mode=task.score_mode, patience=task.config.patience)


def _trainer(config: TrainingConfig, out: Path, callbacks: list[Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator=config.accelerator,
        devices=config.devices or "auto",
        strategy="ddp_find_unused_parameters_true" if _is_parallel(config) else "auto",
        precision=config.precision,
        max_epochs=config.epochs,
        logger=[CSVLogger(out, "log", _next_start(out)), TensorBoardLogger(out, "tensorboard", "")],
        callbacks=callbacks,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=min(50, config.steps_per_epoch),
    )


def _is_parallel(config: TrainingConfig) -> bool:
    if config.devices or config.accelerator == "cpu":
        return config.devices > 1
    return torch.cuda.device_count() > 1


def _next_start(out: Path) -> str:
    """A log folder of its own for every start, since the logger empties the one it is given."""
    return f"start_{len(list((out / 'log').glob('start_*')))}"


def _keep(
    task: TrainingTask[Any],
    out: Path,
    steps: int,
    seconds: float,
    score: float,
    trained_on: tuple[str, ...],
    data: Sequence[Path],
) -> None:
    """Write the networks of a task with a card each."""
    for name, (network, architecture, arguments) in task.products().items():
        card = weights.Card(
            architecture=architecture,
            arguments=dict(arguments),
            task=type(task).__module__.rpartition(".")[2],
            trained_on=trained_on,
            training_images=hash_images(data),
            steps=steps,
            seconds=round(seconds, 1),
            seed=task.config.seed,
            figures={"validation_score": round(score, 4)},
        )
        weights.save(network, card, out / f"{name}.safetensors")
