"""Other ways to compute the runs of a study, and what the machine's cores can do; measured by study.py.

A run is a network with ReLU and dropout, batches of 64 and fused AdamW at a constant rate; after each epoch the loss of the
validation split, and a copy of the weights where it is the smallest so far. Runs differ in dropout, learning rate and seed.
All peers get the inputs as normalised float32 tensors; a run that has not learned is an error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.data.dataset import Dataset

DIGITS, FASHION = (64, 128, 64, 10), (784, 512, 512, 10)
BATCH, DECAY, EPOCHS = 64, 0.01, 30
SETTINGS = [(dropout, rate) for dropout in (0.1, 0.2, 0.3, 0.4) for rate in (1e-3, 2e-3)]
"""Dropout and learning rate."""
LEARNED = 1.0
"""A run's best validation loss is below this, or it has not learned (chance: 2.3)."""
ROOT = Path(__file__).resolve().parents[1]


class Tensors(NamedTuple):
    """Inputs (N, features) float32 of mean 0 and deviation 1, and class numbers (N,) int64, of both splits."""

    train: tuple[Tensor, Tensor]
    val: tuple[Tensor, Tensor]


def tensors_of(data: Dataset) -> Tensors:
    """The splits that training reads, normalised once: a bare loop on data this small would do so."""
    mean, std = 255 * data.manifest.fit["mean"][0], 255 * data.manifest.fit["std"][0]

    def pair(name: str) -> tuple[Tensor, Tensor]:
        split = data.split(name)
        inputs = torch.from_numpy(np.array(split.inputs)).flatten(1).float()
        return inputs.sub_(mean).div_(std), torch.from_numpy(np.array(split.labels))

    return Tensors(pair("train"), pair("val"))


def network(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Dense layers with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def train(run: int, tensors: Tensors, widths: Sequence[int], epochs: int) -> float:
    """The best validation loss of the run-th run: the loop that one would write by hand, an epoch shuffled at once."""
    dropout, rate = SETTINGS[run % len(SETTINGS)]
    torch.manual_seed(run // len(SETTINGS))
    net = network(widths, dropout)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=DECAY, fused=True)
    (inputs, labels), (val_inputs, val_labels) = tensors
    best, weights = float("inf"), net.state_dict()
    for _ in range(epochs):
        net.train()
        order = torch.randperm(len(inputs))
        for batch, targets in zip(torch.split(inputs[order], BATCH), torch.split(labels[order], BATCH), strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(batch), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            loss = float(F.cross_entropy(net(val_inputs), val_labels))
        if loss < best:
            best, weights = loss, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(weights)
    return best


def bare_loop(n: int, data: Dataset, widths: Sequence[int] = DIGITS, epochs: int = EPOCHS, threads: int = 1) -> float:
    """Seconds of n runs one after the other in this process."""
    with _torch_threads(threads):
        started = time.perf_counter()
        tensors = tensors_of(data)
        losses = [train(run, tensors, widths, epochs) for run in range(n)]
        seconds = time.perf_counter() - started
    _check(losses, n)
    return seconds


@contextlib.contextmanager
def own_ray(cores: int | None = None) -> Iterator[None]:
    """A Ray of this process alone, quiet, on this machine's cores; ended with the block."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    import ray

    ray.init(
        address="local",
        num_cpus=cores or len(os.sched_getaffinity(0)),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}},
    )
    try:
        yield
    finally:
        ray.shutdown()


def tune_reused(n: int, data: Dataset, widths: Sequence[int] = DIGITS, epochs: int = EPOCHS) -> float:
    """Seconds of n trials of Ray Tune, within `own_ray`, each the bare loop: Tune at its best.

    An actor of one thread per core, started once and reused; no loggers; one result per trial, at its end. Tune's users
    report every epoch, as their schedulers ask for; that is slower.
    """
    from ray import tune

    class Reused(tune.Trainable):
        def setup(self, config: dict[str, Any], tensors: Tensors | None = None) -> None:
            torch.set_num_threads(1)
            self.run, self.tensors = config["run"], tensors

        def step(self) -> dict[str, Any]:
            assert self.tensors
            return {"val_loss": train(self.run, self.tensors, widths, epochs), "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.run = new_config["run"]
            return True

    started = time.perf_counter()
    trainable = tune.with_parameters(Reused, tensors=tensors_of(data))
    losses = _losses(trainable, n, reuse_actors=True)
    seconds = time.perf_counter() - started
    _check(losses, n)
    return seconds


def tune_lightning(n: int, data: Dataset, widths: Sequence[int] = DIGITS, epochs: int = EPOCHS) -> float:
    """Seconds of n trials of Ray Tune, within `own_ray`, as its documentation shows them with Lightning.

    A process per trial, Trainer and DataLoader, the validation loss reported every epoch and the best weights kept by
    ModelCheckpoint. No logger, no progress bar, no sanity steps.
    """
    from ray import tune

    started = time.perf_counter()
    trainable = tune.with_parameters(_lightning_trial, tensors=tensors_of(data), widths=widths, epochs=epochs)
    losses = _losses(trainable, n, reuse_actors=False)
    seconds = time.perf_counter() - started
    _check(losses, n)
    return seconds


def _lightning_trial(config: dict[str, Any], tensors: Tensors, widths: Sequence[int], epochs: int) -> None:
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint
    from ray.tune.integration.pytorch_lightning import TuneReportCallback
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self, dropout: float, rate: float) -> None:
            super().__init__()
            self.net, self.rate = network(widths, dropout), rate

        def training_step(self, batch: Any, _index: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]), batch_size=len(batch[0]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=self.rate, weight_decay=DECAY, fused=True)

    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    pl.seed_everything(config["run"] // len(SETTINGS), verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        keeper = ModelCheckpoint(dirpath=folder, monitor="val_loss", save_top_k=1, save_weights_only=True)
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[keeper, TuneReportCallback({"val_loss": "val_loss"}, on="validation_end")],
        )
        trainer.fit(
            Module(*SETTINGS[config["run"] % len(SETTINGS)]),
            DataLoader(TensorDataset(*tensors.train), batch_size=BATCH, shuffle=True),
            DataLoader(TensorDataset(*tensors.val), batch_size=len(tensors.val[0])),
        )


def _losses(trainable: Any, n: int, reuse_actors: bool) -> list[float]:
    """The last validation loss of each of n trials, one per core at a time."""
    from ray import tune

    keep_none = tune.CheckpointConfig(checkpoint_at_end=False)
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"run": tune.grid_search(list(range(n)))},
            tune_config=tune.TuneConfig(reuse_actors=reuse_actors),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, checkpoint_config=keep_none),
        ).fit()
        assert not results.errors, results.errors[0]
        return [(result.metrics or {})["val_loss"] for result in (results[i] for i in range(len(results)))]


def _check(losses: Sequence[float], n: int) -> None:
    assert len(losses) == n, f"{len(losses)} of {n} runs ended"
    assert max(losses) < LEARNED, f"a run has not learned: {max(losses):.3f}"


def step_products(widths: Sequence[int] = FASHION, batch: int = BATCH) -> list[tuple[Tensor, Tensor]]:
    """The factors of the matrix products of one training step, laid out as torch's autograd multiplies them."""
    products = []
    for layer, (a, b) in enumerate(pairwise(widths)):
        inputs, weight, gradient = torch.randn(batch, a), torch.randn(b, a), torch.randn(batch, b)
        products += [(inputs, weight.t()), (gradient.t(), inputs)]
        if layer:
            products.append((gradient, weight))  # the first layer's inputs need no gradient
    return products


def square_product(size: int = 2048) -> list[tuple[Tensor, Tensor]]:
    """One large product, where a core comes closest to its peak."""
    return [(torch.randn(size, size), torch.randn(size, size))]


def gemm_rate(products: Sequence[tuple[Tensor, Tensor]], threads: int = 1, seconds: float = 1.0) -> float:
    """GFLOP/s of torch.mm over these products in turn, without bias, activation or allocation: no step can be faster."""
    outs = [torch.empty(len(a), b.shape[1]) for a, b in products]

    def once() -> None:
        for (a, b), out in zip(products, outs, strict=True):
            torch.mm(a, b, out=out)

    with _torch_threads(threads):
        once()
        rounds, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            once()
            rounds += 1
        return rounds * num_flops(products) / (time.perf_counter() - started) / 1e9


def num_flops(products: Sequence[tuple[Tensor, Tensor]]) -> int:
    """Two per multiplication and addition."""
    return sum(2 * a.numel() * b.shape[1] for a, b in products)


@contextlib.contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
