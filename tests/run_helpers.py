"""Runs of a small network on the digits."""

from pathlib import Path

import yaml
from training_helpers import NONE

from pipeline import artifacts
from pipeline.runs.find import NOTHING
from pipeline.runs.identity import Identity
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.fit import fit

CONF = Path(__file__).resolve().parents[1] / "conf"


def configs(model="dnn", **changes):
    values = {"model": yaml.safe_load((CONF / f"model/{model}.yaml").read_text())}
    values["train"] = yaml.safe_load((CONF / "train/default.yaml").read_text())
    for path, value in changes.items():
        section, key = path.split("__")
        values[section][key] = value
    return validated(ModelConfig, values["model"], "model"), validated(TrainConfig, values["train"], "train")


class NoTracker:
    def log(self, epoch, rows):
        pass

    def finish(self, summary, exit_code):
        self.summary = summary


def run(data, asked=NOTHING, **changes):
    small = {
        "train__epochs": 3,
        "model__widths": [16],
        "train__save_every_s": 0.0,
        "train__threads": 1,
        "train__warmup_epochs": 1.0,
    }
    model, train = configs(**(small | changes))
    return fit(model, train, data, NONE, lambda folder: NoTracker(), asked), model


def identity_of(folder):
    return Identity(**folder.read()["hashes"])


def weights(folder):
    return artifacts.load_tensors(folder.path / "best.safetensors")[0]


def interrupted(digits):
    """With its last two states, as a run has that was killed after its last epoch."""
    folder, _ = run(digits)
    folder.save_state(*folder.load_state())
    folder.write(state="running")
    return folder


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: int(how * len(content))])
