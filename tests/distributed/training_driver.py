"""A program of its own: one training over workers on a local Ray cluster, in the current folder.

usage: training_driver.py DATASET WORKERS REDUCE EPOCHS [KEY=VALUE of train, model.KEY=VALUE or cluster.KEY=VALUE ...]
"""

import sys
from pathlib import Path

import yaml

from pipeline.config import composed
from pipeline.data.dataset import open_dataset
from pipeline.data.views import Views
from pipeline.errors import ENDS
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.schema.base import validated
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
EPOCHS = 200
"""Of a training of some seconds: long enough to be disturbed twice, after half a second each."""
TIMEOUT_S = 6.0


class NoTracker:
    def log(self, epoch, rows):
        pass

    def finish(self, summary, exit_code):
        pass


def configs(epochs, workers=1, reduce="exact", **changes):
    values = composed(CONF, ["augment=none", "cluster=ray"])
    values["model"] |= {"widths": [32, 16]}
    for key in [key for key in changes if "." in key]:
        section, _, name = key.partition(".")
        values[section][name] = changes.pop(key)
    values["train"] |= {"epochs": epochs, "shards": 4, "batch_size": 50, "save_every_s": 0.5, "clip_norm": 1.0} | changes
    values["cluster"] |= {"workers": workers, "reduce": reduce, "timeout_s": TIMEOUT_S}
    kinds = {"model": ModelConfig, "train": TrainConfig, "cluster": ClusterConfig, "augment": ImagePolicy}
    return [validated(kind, values[name], name) for name, kind in kinds.items()]


def fit_with(dataset, epochs, workers=1, reduce="exact", **changes):
    model, train, cluster, policy = configs(epochs, workers, reduce, **changes)
    data, views = open_dataset(Path(dataset)), Views([], policy, "none")
    if workers == 1:
        from pipeline.train.fit import fit

        return fit(model, train, data, views, lambda run: NoTracker())
    from pipeline.distributed.training import fit_on_cluster

    return fit_on_cluster(model, train, data, views, lambda run: NoTracker(), cluster)


def main():
    dataset, workers, reduce, epochs, *changes = sys.argv[1:]
    try:
        fit_with(
            dataset, int(epochs), int(workers), reduce, **{k: yaml.safe_load(v) for k, v in (c.split("=") for c in changes)}
        )
    except ENDS as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
