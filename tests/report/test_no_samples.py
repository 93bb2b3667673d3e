"""A page with `report.samples=false` holds nothing of single samples, of whatever kind; with true the same page does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from data_samples import picture
from sound_samples import TONES, encoded, tone

from pipeline import config
from pipeline.data.dataset import open_dataset
from pipeline.stages import augment, code, evaluate, prepare, report, train

SHORT = ("study=none", "tracking.mode=disabled", "train.epochs=1", "augment.views=1", "prepare.max_bad_fraction=0.2")
SENTINEL = "zqx"
"""In the names of files, in each text, and in the cells of each row."""
VALUE = 918273
"""The size of the largest and the smallest of the numbers that are predicted; the others are below 1."""


def photos(place):
    for i in range(60):
        file = place / ("cat", "dog")[i % 2] / f"{SENTINEL}{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(file)
    (place / "cat" / f"{SENTINEL}-broken.png").write_bytes(b"none")
    return ["data=folder", "data.size=8", "model=dnn", "model.widths=[8]", "preset=none", "augment=light", *SHORT]


def sounds(place):
    for label in TONES:
        (place / label).mkdir(parents=True)
        for i in range(20):
            (place / label / f"{SENTINEL}{i}.wav").write_bytes(encoded(tone(label, i)))
    return ["data=audio", "data.window=0.25", "data.hop=0.15", *SHORT]


def texts(place):
    drawn = np.random.default_rng(0)
    said = [f"{SENTINEL}{i} is {('dull', 'bad', 'slow')[drawn.integers(3)]}" for i in range(120)]
    lines = [json.dumps({"text": text, "label": "xy"[i % 2]}) for i, text in enumerate(said)]
    place.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    return ["data=text", "data.text=text", "data.label=label", "augment.swap=0.5", *SHORT]


def rows(place):
    lines = [f"{SENTINEL}{i % 4},{i * 31 % 97},{'ab'[i * 7 % 5 % 2]}" for i in range(120)]
    place.with_suffix(".csv").write_text("\n".join(["town,size,label", *lines, f"b,{SENTINEL},a"]) + "\n")
    return ["data=table", "data.label=label", "data.number=[size]", *SHORT]


def numbers(place):
    prices = [VALUE * (-1) ** (i // 10) if i % 10 == 0 else i / 200 for i in range(120)]
    lines = [f"{SENTINEL}{i % 4},{i * 31 % 97},{price}" for i, price in enumerate(prices)]
    place.with_suffix(".csv").write_text("\n".join(["town,size,price", *lines]) + "\n")
    return ["data=table", "data.label=price", *SHORT]


def written(samples):
    """What `report` writes: the page, and all its files together."""
    values = config.read_values()
    config.write_params(values | {"report": values["report"] | {"samples": samples}})
    report.run()
    files = {path: path.read_bytes() for path in Path("artifacts/report").rglob("*") if path.is_file()}
    return files[Path("artifacts/report/index.html")].decode(), b"".join(files.values())


SLOW = [pytest.param(each, marks=pytest.mark.slow) for each in (photos, sounds, texts, rows)]


@pytest.mark.parametrize("write", [*SLOW, numbers])
def test_nothing_of_a_sample_is_in_any_file(write, project):
    said = write(Path("data/own"))
    path = next(Path("data").glob("own*"))
    config.write_params(config.composed(overrides=[*said, f"data.path={path}"]))
    for stage in (code, prepare, augment, train, evaluate):
        stage.run()
    page, _ = written(True)
    assert SENTINEL in page, "what is looked for is on the page of samples"
    assert f"{VALUE:,}" in page or write is not numbers
    assert "asked again" in page, "what the worst mistakes came from, too"
    assert re.search("window [12] of 2<", page) or write is not sounds
    page, everything = written(False)
    assert ('id="columns"' in page) == (write in (rows, numbers)), "what is of all samples together stays"
    for word in ("asked again", SENTINEL, str(VALUE), f"{VALUE:,}", "data:image", "<audio"):
        assert word.encode() not in everything, word
    assert "report.samples is false" in page
    manifest = open_dataset(Path("artifacts/prepare")).manifest
    assert all(f"<bdi>{name}</bdi>" in page for name in (manifest.classes or manifest.targets)), "names of answers stay"
    assert not Path("artifacts/report/figures/predicted.png").exists()
