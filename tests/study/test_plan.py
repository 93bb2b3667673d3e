"""A study's runs, and what is refused before anything runs."""

from pathlib import Path

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.study import StudyDefinition
from pipeline.schema.train import TrainConfig
from pipeline.study.plan import cells

CONF = Path(__file__).resolve().parents[2] / "conf"
MODEL = validated(ModelConfig, yaml.safe_load((CONF / "model/dnn.yaml").read_text()), "model")
TRAIN = validated(TrainConfig, yaml.safe_load((CONF / "train/default.yaml").read_text()), "train")


def study(variants, baseline=None, num_seeds=2):
    return StudyDefinition(question="?", baseline=baseline or {}, variants=variants, num_seeds=num_seeds)


def test_every_variant_has_the_same_seeds():
    found = cells(study({"none": {"model.dropout": 0.0}}, {"train.epochs": 5, "train.warmup_epochs": 1.0}), MODEL, TRAIN)
    assert [(cell.variant, cell.seed) for cell in found] == [("baseline", 0), ("baseline", 1), ("none", 0), ("none", 1)]
    assert {cell.train.epochs for cell in found} == {5}
    assert [cell.model.dropout for cell in found] == [0.2, 0.2, 0.0, 0.0]


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"a": {"model.drpout": 0.1}}, r"study variant a: model.drpout = 0.1: unknown key; did you mean model.dropout\?"),
        ({"a": {"train.seed": 5}}, "study variant a: train.seed = 5: unknown key; a variant may change"),
        ({"a": {"train.threads": 2}}, "but not train.seed, train.device, train.threads, train.save_every_s"),
        ({"a": {"augment.flip": 0.5}}, "a variant may change model"),
        ({"a": {"model.dropout": 2.0}}, "study variant a: model.dropout = 2.0: should be less than 1"),
        ({"a": {}}, "study variant a: the same as baseline"),
        ({"a": {"model.dropout": 0.4}, "b": {"model.dropout": 0.4}}, "study variant b: the same as a"),
        ({"baseline": {"model.dropout": 0.4}}, "the name is taken by the baseline"),
    ],
)
def test_a_wrong_variant_is_refused(variants, said):
    with pytest.raises(ConfigError, match=said):
        cells(study(variants), MODEL, TRAIN)


def test_all_wrong_variants_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        cells(study({"a": {"model.x": 1}, "b": {"train.y": 1}}), MODEL, TRAIN)
    assert len(str(error.value).splitlines()) == 2


def test_the_studies_that_come_along_are_sound():
    for file in (CONF / "study").glob("*.yaml"):
        for definition in yaml.safe_load(file.read_text())["definitions"].values():
            assert cells(validated(StudyDefinition, definition, "study"), MODEL, TRAIN)
