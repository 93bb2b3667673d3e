"""RESULTS.md from `results/*.json`: no figure in it is typed by hand. `make results`."""

from __future__ import annotations

import json
import operator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
TELLS = {"<=": operator.le, ">=": operator.ge}
HEAD = """# Results

Every figure is read from `benchmarks/results/*.json` by `make results`; `make bench` measures them anew. A ratio above 1
means that Regatta is better; it is the median over rounds in one process, in turns, smallest and largest in brackets.
"""
FINDINGS = "findings_"
FINDINGS_HEAD = """## Findings of the built-in studies

What the studies of `conf/study/` expect, and what their runs say on each dataset. An expectation that the data contradict stays
as it was and is shown with its numbers, and so is one that the runs leave open. An interval is over seeds, not over samples.
"""


class Aim(NamedTuple):
    """A number to reach."""

    words: str
    row: str
    key: str
    """Of the row's `ours`, or the name of a peer."""
    tell: str
    bound: float


AIMS = [
    Aim("`make run` on digits, dependencies installed, all stages (s)", "make_run", "first_s", "<=", 60),
    Aim("`make run` the second time (s)", "make_run", "second_s", "<=", 3),
    Aim("`regatta --help` (s)", "startup", "help_s", "<=", 0.3),
    Aim("digits: test accuracy, mean of 5 splits x 3 seeds", "accuracy_digits", "test_accuracy", ">=", 0.975),
    Aim("Fashion-MNIST: test accuracy, mean of 3 seeds", "accuracy_fashion", "test_accuracy", ">=", 0.900),
    Aim("Fashion-MNIST: seconds of training, the slowest seed", "accuracy_fashion", "training_s", "<=", 120),
    Aim("Fashion-MNIST: speed against a bare torch loop", "train_step_fashion", "bare loop", ">=", 0.95),
    Aim(
        "Fashion-MNIST: speed against Lightning with a DataLoader", "train_step_fashion", "Lightning with DataLoader", ">=", 1.2
    ),
    Aim("digits: speed against a bare torch loop", "train_step_digits", "bare loop", ">=", 0.9),
    Aim("digits: speed against Lightning with a DataLoader", "train_step_digits", "Lightning with DataLoader", ">=", 3),
    Aim("features of images of 224 pixels by a pretrained network", "backbone_features", "bare network", ">=", 0.9),
    Aim("a head on stored features", "backbone_head", "our DNN on as many pixels", ">=", 0.9),
    Aim(
        "a module of one's own, 0.5 M parameters, batch 256: against a bare loop",
        "train_module_residual",
        "bare loop, batch 256",
        ">=",
        0.9,
    ),
    Aim("the same at batch 64", "train_module_residual", "bare loop, batch 64", ">=", 0.8),
    Aim(
        "the same against Lightning with a DataLoader, batch 64",
        "train_module_residual",
        "Lightning with DataLoader, batch 64",
        ">=",
        1.1,
    ),
    Aim(
        "one with attention and dropout, batch 256: against a bare loop",
        "train_module_mixed",
        "bare loop, batch 256",
        ">=",
        0.9,
    ),
    Aim("the same at batch 64", "train_module_mixed", "bare loop, batch 64", ">=", 0.8),
    Aim(
        "the same against Lightning with a DataLoader, batch 64",
        "train_module_mixed",
        "Lightning with DataLoader, batch 64",
        ">=",
        1.1,
    ),
    Aim("preset=images, training: speed against a bare torch loop", "train_images", "bare loop", ">=", 0.92),
    Aim("the same against Lightning with a DataLoader", "train_images", "Lightning with DataLoader", ">=", 1),
    Aim("study of 64 runs on digits: speed against a bare torch loop", "study_digits", "bare loop", ">=", 4),
    Aim("the same against Ray Tune with actors used again", "study_digits", "Ray Tune, actors used again", ">=", 3),
    Aim("the same against Ray Tune with Lightning", "study_digits", "Ray Tune, Lightning", ">=", 20),
    Aim("study of 64 runs on Fashion-MNIST: speed against a bare torch loop", "study_fashion", "bare loop", ">=", 1),
    Aim("the same: share of the GEMM rate", "study_fashion", "share_of_gemm_rate", ">=", 0.8),
    Aim("records and states of a study: share of its time", "study_overhead", "share", "<=", 0.03),
    Aim("`regatta study` whose runs all exist (s)", "study_overhead", "known_s", "<=", 2),
    Aim("time that a dry run expects, studies and training: farthest from the truth (x)", "time_left", "worst_plan", "<=", 2),
    Aim("times left told on the way: share within a factor of two", "time_left", "told_within_2", ">=", 0.95),
    Aim("two workers: from the call to the first step, imports aside (s)", "cluster_start", "beyond_imports_s", "<=", 3),
    Aim("two workers: from the last step to the return (s)", "cluster_start", "end_noticed_s", "<=", 0.3),
    Aim("a worker lost: to the next step (s)", "cluster_recovery", "to_next_step_s", "<=", 15),
    Aim("two workers against one, Fashion-MNIST, batches of 1024", "cluster_workers", "one worker", ">=", 1.7),
    Aim("exact sums cost, of fast ones", "cluster_workers", "exact_costs", "<=", 0.3),
    Aim("Ray's published job: speed against Ray Train with a DataLoader", "cluster_job", "Ray Train with DataLoader", ">=", 4),
    Aim("predicting arrays: speed against the bare network", "predict_arrays", "bare network", ">=", 0.8),
    Aim("`regatta predict` of one file, from its start to the answer (s)", "predict_start", "seconds", "<=", 3),
    Aim("10,000 files predicted: memory beyond that of 1,000 (MB)", "predict_many", "peak_grows_mb", "<=", 50),
    Aim("a digit over HTTP, 50 requests a second: 99 % within (ms)", "serve_digit", "p99_ms", "<=", 50),
    Aim("a photo of 224 px over HTTP, 50 requests a second: 99 % within (ms)", "serve_photo", "p99_ms", "<=", 150),
    Aim("a save after each epoch costs, of the whole time", "checkpoint", "overhead", "<=", 0.02),
    Aim("W&B mirror per run of a study (s)", "tracking_study", "s_per_cell", "<=", 0.15),
    Aim("CIFAR-10, official test: accuracy, mean of 3 seeds", "accuracy_cifar", "test_accuracy", ">=", 0.90),
    Aim("CIFAR-10: seconds of training, the slowest seed", "accuracy_cifar", "training_s", "<=", 1200),
    Aim("CIFAR-10 in 4 epochs, official test: accuracy, mean of 3 seeds", "accuracy_cifar_short", "test_accuracy", ">=", 0.80),
    Aim("CIFAR-10 in 4 epochs: seconds of training, the slowest seed", "accuracy_cifar_short", "training_s", "<=", 180),
    Aim("Clothing photos, 5 folds x 3 seeds: accuracy beyond HOG's, upper end", "accuracy_clothing", "less_hog_high", ">=", 0),
    Aim("Adult, official test: accuracy, mean of 3 seeds", "accuracy_adult", "test_accuracy", ">=", 0.871),
    Aim("Adult: accuracy beyond boosted trees on the same rows, upper end", "accuracy_adult", "difference_high", ">=", 0),
    Aim("Adult prepared (s)", "accuracy_adult", "prepare_s", "<=", 5),
    Aim("Penguins, 5 folds x 5 seeds: accuracy", "accuracy_penguins", "accuracy", ">=", 0.99),
    Aim(
        "a made number (Friedman #1 and a category), 5 folds: error less boosting's, lower end",
        "accuracy_friedman",
        "less_boosting_low",
        "<=",
        0,
    ),
    Aim("training a table: speed against a bare torch loop", "train_table", "bare loop", ">=", 0.9),
    Aim("a table of 1,000,000 x 50 prepared: rows a second", "prepare_table", "rows_per_s", ">=", 100_000),
    Aim("the same: memory beyond the mapped output (MB)", "prepare_table", "peak_mb_beyond_output", "<=", 1024),
    Aim("spoken digits, official test: accuracy, mean of 3 seeds", "accuracy_spoken_digits", "test_accuracy", ">=", 0.99),
    Aim("the same: seconds of training, one thread, the slowest seed", "accuracy_spoken_digits", "training_cpu_s", "<=", 90),
    Aim(
        "spoken digits prepared, from WAV to log-mel: clips a second and core", "prepare_sounds", "clips_per_core_s", ">=", 750
    ),
    Aim("keyed SpecAugment, one thread: clips a second", "augment_sounds", "clips_per_s", ">=", 20_000),
    Aim("SMS spam, own split: macro-F1, mean of 3 seeds", "accuracy_sms", "macro_f1", ">=", 0.975),
    Aim("Banking77, official test: accuracy, mean of 3 seeds", "accuracy_banking", "accuracy", ">=", 0.914),
    Aim("Korean film reviews, official test: accuracy, mean of 3 seeds", "accuracy_reviews", "accuracy", ">=", 0.84),
    Aim("texts prepared, n-grams counted: a second and core", "text_prepare", "texts_per_cpu_s", ">=", 15_000),
    Aim("n-grams of texts: a second and core", "text_ngrams", "texts_per_cpu_s", ">=", 15_000),
    Aim("the same against scikit-learn's vectorisers", "text_ngrams", "scikit-learn's vectorisers", ">=", 1),
    Aim("augmented texts with their n-grams: a second and core", "text_views", "texts_per_cpu_s", ">=", 5_000),
    Aim("CIFAR-10's Parquet files prepared (s)", "prepare_cifar", "seconds", "<=", 60),
    Aim("CIFAR-10: memory beyond the mapped output (MB)", "prepare_cifar", "peak_mb_beyond_output", "<=", 1024),
]


def main() -> None:
    """Write RESULTS.md."""
    (ROOT / "RESULTS.md").write_text(page(measured()), encoding="utf-8")


def measured() -> dict[str, Any]:
    """The rows by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def page(rows: dict[str, Any]) -> str:
    """The whole page, as a function of the rows by name."""
    aims = ["| aim | reached | bound | |", "|---|---|---|---|", *(aim_line(aim, rows) for aim in AIMS)]
    others = {name: row for name, row in rows.items() if not name.startswith(FINDINGS)}
    found = {name.removeprefix(FINDINGS): row for name, row in rows.items() if name.startswith(FINDINGS)}
    parts = [HEAD, "## Aims\n", "\n".join(aims) + "\n", *findings_parts(found)]
    return "\n".join([*parts, "## Rows\n", *(row_part(name, row) for name, row in others.items())])


def aim_line(aim: Aim, rows: dict[str, Any]) -> str:
    """One line of the table of aims."""
    bound = f"{aim.tell} {aim.bound:g}"
    row = rows.get(aim.row)
    if row is None:
        return f"| {aim.words} | not measured | {bound} | |"
    value = row["ours"][aim.key] if aim.key in row["ours"] else row["peers"][aim.key]["ratio"]
    if isinstance(value, list):
        value = max(value) if aim.tell == "<=" else min(value)  # the worst
    return f"| {aim.words} | {number(value)} | {bound} | {'yes' if TELLS[aim.tell](value, aim.bound) else '**no**'} |"


def row_part(name: str, row: dict[str, Any]) -> str:
    """A row's own numbers, its peers, and where it was measured."""
    lines = [f"### {name}\n", *(f"- {key}: {number(value)}" for key, value in row["ours"].items())]
    for peer, ratio in row["peers"].items():
        spread = f"{number(ratio['min'])} to {number(ratio['max'])}, {ratio['rounds']} rounds"
        lines.append(f"- against {peer}: {number(ratio['ratio'])} ({spread})")
    return "\n".join([*lines, f"- {measured_on(row)}\n"])


def findings_parts(found: dict[str, Any]) -> list[str]:
    """Of every study what was expected and what the runs on each dataset say, from the rows by dataset."""
    if not found:
        return []
    lines = [f"- {name}: {samples_of(row)}; {measured_on(row)}" for name, row in found.items()]
    names = dict.fromkeys(name for row in found.values() for name in row["ours"])
    studies = (
        study_part(name, {data: row["ours"][name] for data, row in found.items() if name in row["ours"]}) for name in names
    )
    return [FINDINGS_HEAD, "\n".join(lines) + "\n", *studies]


def study_part(name: str, by_data: dict[str, Any]) -> str:
    """One study: its question, what was expected, and per dataset what is not as expected, with its numbers."""
    first = next(iter(by_data.values()))
    lines = [f"### {name}\n", f"- question: {first['question']}", f"- expected: {first['finding'] or 'nothing'}"]
    for data, found in by_data.items():
        agreement = found["agreement"]
        said_first = f"**{agreement}**" if agreement else "measured"
        lines.append(f"- {data}: {said_first} ({found['num_runs']} runs, {number(found['seconds'])} s)")
        told = zip(found["variants"].values(), found["sentences"], strict=False)  # the variants' sentences come first
        lines += [
            f"    - {said}" for variant, said in told if not agreement or (variant["expected"] and not variant["as_expected"])
        ]
    return "\n".join(lines) + "\n"


def samples_of(row: dict[str, Any]) -> str:
    """How many samples were trained on, and how many each loss is the mean of."""
    return "{train:,} training and {val:,} validation samples".format(**row["num_samples"])


def measured_on(row: dict[str, Any]) -> str:
    """Machine, versions, commit."""
    versions = ", ".join(f"{key} {value}" for key, value in row["versions"].items())
    machine = "{processor}, {cores} cores, {memory_gb} GB, {system}".format(**row["machine"])
    return f"{machine}; {versions}; commit {row['commit']}"


def number(value: Any) -> str:
    """Four significant digits at most, or whole numbers with thousands apart; lists number by number."""
    if isinstance(value, list):
        return ", ".join(number(one) for one in value)
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


if __name__ == "__main__":
    main()
