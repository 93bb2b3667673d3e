"""Ray Train as its documentation shows it, on a cluster that this process is connected to; measured by cluster.py."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.study_peers import ROOT, tensors_of
from pipeline.data.dataset import Dataset

RATE, DROPOUT = 1e-3, 0.25
LEARNED = 0.7
"""Validation accuracy that the job reaches, or it has not learned."""
QUIET = {"RAY_TRAIN_ENABLE_STATE_TRACKING": "0", "PYTHONWARNINGS": "ignore"}


def ray_train_loop(num_workers: int) -> tuple[float, float]:
    """Seconds from the call to the first line of the loop of TorchTrainer, which imports what ours imports; and to return."""
    import ray.train
    from ray.train.torch import TorchTrainer

    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            _empty_loop,
            train_loop_config={"folder": folder},
            scaling_config=ray.train.ScalingConfig(num_workers=num_workers),
            run_config=_run_config(folder),
        )
        called = time.time()
        trainer.fit()
        returned = time.time()
        begun, ended = ([float(path.read_text()) for path in Path(folder).glob(f"*.{kind}")] for kind in ("begun", "ended"))
    return max(begun) - called, returned - max(ended)


def _empty_loop(config: dict[str, Any]) -> None:
    import pytorch_lightning
    import ray.train

    assert pytorch_lightning
    place = Path(config["folder"]) / str(ray.train.get_context().get_world_rank())
    place.with_suffix(".begun").write_text(str(time.time()))
    place.with_suffix(".ended").write_text(str(time.time()))


def published_job(data: Dataset, num_workers: int, epochs: int) -> float:
    """Seconds of Ray's Fashion-MNIST job: 784-512-512-10 with dropout, SGD, batches of 64 for each worker, a report per epoch.

    As published, but for the images: they are normalised tensors before the clock starts, not files decoded one by one.
    """
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    tensors = ray.put([tuple(part.numpy() for part in pair) for pair in tensors_of(data)])
    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            _job_loop,
            train_loop_config={"tensors": [tensors], "epochs": epochs, "folder": folder},
            scaling_config=ray.train.ScalingConfig(num_workers=num_workers),
            run_config=_run_config(folder),
        )
        started = time.perf_counter()
        trainer.fit()
        seconds = time.perf_counter() - started
        accuracy = float((Path(folder) / "accuracy").read_text())
    assert accuracy > LEARNED or epochs < 10, f"the job has not learned: {accuracy:.3f}"
    return seconds


def _job_loop(config: dict[str, Any]) -> None:
    import ray
    import ray.train.torch
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.set_num_threads(1)
    [arrays] = ray.get(config["tensors"])
    train, val = (TensorDataset(*(torch.from_numpy(array.copy()) for array in pair)) for pair in arrays)
    loaders = [DataLoader(train, batch_size=64, shuffle=True), DataLoader(val, batch_size=64)]
    train_loader, val_loader = (ray.train.torch.prepare_data_loader(loader) for loader in loaders)
    sampler: Any = train_loader.sampler
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(DROPOUT)]
    model = ray.train.torch.prepare_model(nn.Sequential(*layers, nn.Linear(512, 10), nn.ReLU()))
    loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    for epoch in range(config["epochs"]):
        if ray.train.get_context().get_world_size() > 1:
            sampler.set_epoch(epoch)
        model.train()
        for inputs, labels in train_loader:
            loss = loss_of(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        right = total = 0
        with torch.no_grad():
            for inputs, labels in val_loader:
                right += int((model(inputs).argmax(1) == labels).sum())
                total += len(labels)
        ray.train.report({"accuracy": right / total})
    (Path(config["folder"]) / "accuracy").write_text(str(right / total))


def _run_config(folder: str) -> Any:
    import ray.train

    os.environ |= QUIET
    train: Any = ray.train  # its stubs are those of an older interface
    environment = {"env_vars": QUIET | {"PYTHONPATH": str(ROOT)}}
    quiet = train.LoggingConfig(log_level="ERROR")
    return train.RunConfig(storage_path=folder, name="run", worker_runtime_env=environment, logging_config=quiet)
