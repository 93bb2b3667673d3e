"""Texts: how right their network is, and how fast they are prepared, augmented and turned into n-grams.

Rows: accuracy_sms (own split by content, repeats dropped), accuracy_banking and accuracy_reviews (official test splits),
`data=text` as it is with 3 seeds, one after the other, beside logistic regression on the same n-grams, its strength chosen on
validation, with the interval of the paired difference over test samples; accuracy_reviews_by_film, the same reviews in an own
split that keeps a film's together; text_sequences, networks over tokens in their order on the first two, 1 seed each;
text_ngrams against scikit-learn's vectorisers, text_prepare and text_views in CPU seconds of
one core.

    python -m benchmarks.texts sms FOLDER          # of sms_spam.tsv, as UCI has it
    python -m benchmarks.texts banking FOLDER      # of Banking77's train.csv and test.csv
    python -m benchmarks.texts reviews FOLDER      # of NSMC-like train.tsv.gz and test.tsv.gz: movie, text, label
    python -m benchmarks.texts films FOLDER        # likewise
    python -m benchmarks.texts sequences FOLDER    # of sms_spam.tsv, and banking77/ with train.csv and test.csv
    python -m benchmarks.texts speed FOLDER        # of Banking77's train.csv and test.csv
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import make_union

from benchmarks.accuracy import prepared, trained
from benchmarks.harness import ratio, seconds_in_turn, write_row
from pipeline.baselines.comparison import paired_interval, scored, units_of
from pipeline.baselines.fitting import fitted_baselines
from pipeline.config import composed
from pipeline.data.batches import Inputs, judged_batches
from pipeline.data.dataset import Dataset
from pipeline.kinds.keys import policy_section
from pipeline.kinds.text.inputs import to_input
from pipeline.kinds.text.views import batch_views
from pipeline.kinds.text.vocabulary import learned
from pipeline.model.answers import sample_logits
from pipeline.model.losses import probabilities
from pipeline.train.training import Training

SEEDS, ROUNDS, BATCH = 3, 5, 1024


def answers(training: Training, dataset: Dataset) -> NDArray[np.int64]:
    """Classes (N,) of the test samples, by the best weights."""
    test, found = dataset.split("test"), np.zeros(len(dataset.split("test")), np.int64)
    inputs = Inputs([test.stored], torch.device("cpu"))
    with training.best.standing_in(training.net.flat):
        for batch in judged_batches(test, BATCH):
            logits = sample_logits(training.net, training.to_input, inputs.take(batch.rows), None, training.program.loss)[0]
            found[batch.samples] = probabilities(training.program.loss, "single", logits).argmax(1).numpy()
    return found


def accuracy(row: str, **data: Any) -> None:
    """3 seeds, one after the other."""
    values = composed(overrides=["data=text"])
    values["data"] |= data
    with tempfile.TemporaryDirectory() as scratch:
        dataset, views = prepared(values, Path(scratch))
        labels = np.asarray(dataset.split("test").labels)
        own, seconds = [], []
        for seed in range(SEEDS):
            started = time.process_time()
            training = trained(values, dataset, views, [seed], threads=1)
            seconds.append(round(time.process_time() - started, 1))
            own.append(answers(training, dataset))
            print(f"seed {seed}: accuracy {(own[-1] == labels).mean():.4f}, {seconds[-1]:.0f} CPU-s", flush=True)
        baseline = fitted_baselines(dataset)
    assert baseline is not None
    units = units_of(labels, "single")
    each = np.mean([scored(labels, found, "single", units) for found in own], axis=0)
    low, high = paired_interval(each - scored(labels, baseline.answers, "single", units))
    ours: dict[str, Any] = {"num_train": dataset.manifest.counts["train"], "num_test": len(labels), "seeds": SEEDS}
    ours |= _spread("accuracy", [float((found == labels).mean()) for found in own])
    ours |= _spread("macro_f1", [_f1(labels, found) for found in own])
    ours |= {"training_cpu_s": seconds, "baseline": baseline.chosen.words}
    ours |= {
        "baseline_accuracy": float((baseline.answers == labels).mean()),
        "baseline_macro_f1": _f1(labels, baseline.answers),
    }
    write_row(row, ours | {"difference_low": low, "difference_high": high}, {})


def _spread(name: str, values: list[float]) -> dict[str, float]:
    return {name: statistics.mean(values), f"{name}_deviation": statistics.stdev(values)}


def _f1(labels: NDArray[Any], found: NDArray[Any]) -> float:
    return float(f1_score(labels, found, average="macro"))


@contextmanager
def messages(folder: Path) -> Iterator[Path]:
    """The short messages without the repeats, a label and a text each."""
    lines = list(dict.fromkeys((folder / "sms_spam.tsv").read_text(encoding="utf-8").splitlines()))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "sms.tsv"
        path.write_text("\n".join(lines), encoding="utf-8")
        yield path


def sms(folder: Path) -> None:
    """Without the repeats."""
    with messages(folder) as path:
        accuracy("accuracy_sms", path=str(path), header=["label", "text"])


SEQUENCES = {
    "textcnn_words": ["preset=text-cnn"],
    "textcnn_bytepairs": ["preset=text-cnn", "data.tokens=bytepairs"],
    "transformer_words": ["preset=text-transformer"],
}


def sequences(folder: Path) -> None:
    """Each network once on short messages and on questions."""
    banking = {"path": None, "label": "category"}
    banking |= {f"{split}_path": str(folder / "banking77" / f"{split}.csv") for split in ("train", "test")}
    found: dict[str, Any] = {"seeds": 1}
    with messages(folder) as path:
        for name, data in (("sms", {"path": str(path), "header": ["label", "text"]}), ("banking", banking)):
            for network, overrides in SEQUENCES.items():
                found |= {f"{name}_{network}_{key}": value for key, value in once(overrides, data).items()}
                print(name, network, found, flush=True)
    write_row("text_sequences", found, {})


def once(overrides: list[str], data: dict[str, Any]) -> dict[str, float]:
    """One seed's test scores and the processor's seconds of its training, one thread."""
    values = composed(overrides=["data=text", *overrides])
    values["data"] |= data
    with tempfile.TemporaryDirectory() as scratch:
        dataset, views = prepared(values, Path(scratch))
        labels, started = np.asarray(dataset.split("test").labels), time.process_time()
        training = trained(values, dataset, views, [0], threads=1)
        seconds, own = time.process_time() - started, answers(training, dataset)
    scores = {"accuracy": float((own == labels).mean()), "macro_f1": _f1(labels, own)}
    return {**{key: round(value, 4) for key, value in scores.items()}, "cpu_s": round(seconds, 1)}


def speed(folder: Path) -> None:
    """n-grams in turn with scikit-learn's vectorisers; a whole dataset; views with their n-grams."""
    with (folder / "train.csv").open(encoding="utf-8") as file:
        texts = [row["text"].strip() for row in csv.DictReader(file)]
    contents = [text.encode() for text in texts]
    known = learned(iter(contents), hashed=False)[0]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\w+|[^\w\s]")
    peer = make_union(words, TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2)).fit(texts)

    def ours() -> None:
        for at in range(0, len(contents), BATCH):
            known.bags(contents[at : at + BATCH])

    seconds = seconds_in_turn({"ours": ours, "peer": lambda: peer.transform(texts)}, ROUNDS, clock=time.process_time)
    rate = len(texts) / statistics.median(seconds["ours"])
    scikit = {"scikit-learn's vectorisers": ratio(seconds["ours"], seconds["peer"])}
    write_row("text_ngrams", {"texts_per_cpu_s": rate, "num_texts": len(texts)}, scikit)
    _prepare_and_augment(folder, len(texts))


def _prepare_and_augment(folder: Path, num: int) -> None:
    values = composed(overrides=["data=text"])
    values["data"] |= {"path": str(folder / "train.csv"), "label": "category"}
    values["augment"] |= {"delete": 0.1, "swap": 0.1}
    with tempfile.TemporaryDirectory() as scratch:
        started = time.process_time()
        dataset, _ = prepared(values, Path(scratch))
        rate = num / (time.process_time() - started)
        write_row("text_prepare", {"texts_per_cpu_s": rate, "num_texts": num}, {})
        train, fit = dataset.split("train"), dataset.manifest.fit
        rows, cast = Inputs([train.stored], torch.device("cpu")), to_input(fit, (), "cpu")
        policy, ids = policy_section(values).scaled(), np.asarray(train.ids)

        def draw() -> None:
            for at in range(0, len(train), BATCH):
                part = np.arange(at, min(at + BATCH, len(train)))
                cast(batch_views(rows.take(part), ids[part], part, policy, fit))  # type: ignore[arg-type]

        seconds = seconds_in_turn({"ours": draw}, ROUNDS, clock=time.process_time)["ours"]
        write_row("text_views", {"texts_per_cpu_s": len(train) / statistics.median(seconds), "num_texts": len(train)}, {})


def main() -> None:
    """By the first argument."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    given = {"path": None, "train_path": str(folder / "train.tsv.gz"), "test_path": str(folder / "test.tsv.gz")}
    if what == "sms":
        sms(folder)
    elif what == "sequences":
        sequences(folder)
    elif what == "banking":
        train, test = str(folder / "train.csv"), str(folder / "test.csv")
        accuracy("accuracy_banking", path=None, train_path=train, test_path=test, label="category")
    elif what == "reviews":
        accuracy("accuracy_reviews", **given)
    elif what == "films":
        accuracy("accuracy_reviews_by_film", path=str(folder / "train.tsv.gz"), group="movie")
    else:
        speed(folder)


if __name__ == "__main__":
    main()
