"""Over a grid of made-up trainings: no two findings of one report deny each other, and what they advise can be done."""

import itertools
import shlex
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made_up import majority, manifest, records, spread

from pipeline.cli import parsed
from pipeline.config import checked, composed, merged
from pipeline.overrides import Overrides, added, candidate
from pipeline.report.run.records import Effect, project_of
from pipeline.report.run.rules.finding import TOPICS
from pipeline.report.run.verdict import verdict
from pipeline.schema.reading import flat

CONF = Path(__file__).resolve().parents[3] / "conf"

# What is said, as (topic, beginning of the headline), and which question it answers how. Nothing of pipeline/ is used here.
CLAIMS = {
    ("Learning", "Right more often"): {"beats guessing": True},
    ("Learning", "Not better than guessing"): {"beats guessing": False, "learned": False, "praised": False},
    ("Learning", "Tells classes apart"): {"beats guessing": False, "learned": True},
    ("Learning", "Not shown to be better"): {"learned": False, "praised": False},
    ("Learning", "Too few test samples"): {"learned": True, "many samples": False},
    ("Learning", "The test split does not confirm"): {"splits agree": False},
    ("Best epoch", "Best at epoch"): {"kept is worth it": True, "praised": True},
    ("Best epoch", "Even the best epoch's"): {"kept is worth it": False, "chances": False, "praised": False},
    ("Best epoch", "The first of"): {"kept is worth it": False},
    ("Overfitting", "No sign"): {"generalises": True, "stable": True, "praised": True},
    ("Overfitting", "Overfits"): {"generalises": False},
    ("Overfitting", "Training became unstable"): {"stable": False},
    ("Underfitting", "No sign"): {"fits": True, "praised": True},
    ("Underfitting", "Underfits"): {"fits": False, "long enough": True, "generalises": True, "more may help": True},
    ("Underfitting", "Much is left to explain"): {"fits": False},
    ("Underfitting", "Much is left to learn"): {"fits": False, "long enough": False},
    ("Epochs", "Enough epochs"): {"more may help": False, "long enough": True, "stable": True, "praised": True},
    ("Epochs", "Too few epochs"): {"long enough": False},
    ("Epochs", "Was still improving"): {"long enough": False, "stable": True},
    ("Gradients", "Gradients reach"): {"gradients arrive": True},
    ("Gradients", "Gradients vanish"): {"gradients arrive": False},
    ("Gradients", "Gradients fade"): {"gradients arrive": False},
    ("Gradients", "Gradients explode"): {"gradients arrive": True},
    ("Classes", ""): {},
    ("Calibration", "Confidence matches"): {"chances": True, "praised": True, "many samples": True},
    ("Calibration", "Over-confident"): {"chances": False},
    ("Calibration", "Under-confident"): {"chances": False},
    ("Calibration", "Calibrated on average only"): {"chances": False},
    ("Calibration", "No temperature can be told"): {},
    ("Calibration", "A temperature of"): {"chances": False, "praised": True},
    ("Splits", "Validation and test agree"): {"splits agree": True, "praised": True, "many samples": True},
    ("Splits", "Harder on the test split"): {"splits agree": False},
    ("Test split", "Few test samples"): {"many samples": False},
    ("Test split", "The test split has been read"): {},
    ("Training samples", "Few training samples"): {"finished": True},
    ("Training", "The training failed"): {"finished": False},
    ("Training", "The training is not finished"): {"finished": False, "long enough": False},
}
SENTENCES = {
    "has learned nothing": {"beats guessing": False, "learned": False},
    "is not shown to be better": {"learned": False},
    "is no better than that of guessing": {"kept is worth it": False, "chances": False},
    "test samples do not confirm": {"splits agree": False},
    "too few test samples to confirm": {"many samples": False, "learned": True},
    "tells classes apart": {"learned": True, "beats guessing": False},
    "gradients vanish": {"gradients arrive": False},
    "underfits": {"fits": False},
    "never predicts": {},
    "hardly finds": {},
    "overfits clearly": {"generalises": False},
    "gradients explode": {},
    "became unstable": {"stable": False},
    "no epoch was better than the first": {"kept is worth it": False},
    "was still improving": {"long enough": False},
    "too few epochs": {"long enough": False},
    "much is left to explain": {"fits": False},
    "later epochs overfit": {"generalises": False},
    "mild overfitting": {"generalises": False},
    "no sign of overfitting": {"generalises": True, "stable": True, "fits": True, "learned": True},
    "did not finish": {"finished": False},
}

# Losses of two classes of the same size, whose loss of guessing is ln 2 = 0.693; `made` scales them to the classes' own.
CURVES = {
    "well": ([0.6, 0.3, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1], [0.6, 0.3, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1]),
    "improving": ([0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25], [0.6, 0.55, 0.5, 0.45, 0.4, 0.34, 0.29, 0.24]),
    "overfits": ([0.6, 0.5, 0.45, 0.44, 0.44, 0.44, 0.44, 0.44], [0.6, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]),
    "overfits later": ([0.6, 0.3, 0.2, 0.24, 0.26, 0.28, 0.3, 0.3], [0.6, 0.29, 0.19, 0.15, 0.1, 0.1, 0.1, 0.1]),
    "unstable": ([0.6, 0.3, 0.2, 0.5, 0.9, 0.8, 0.9, 0.9], [0.6, 0.3, 0.2, 0.5, 0.9, 0.8, 0.9, 0.9]),
    "guesses": ([0.70, 0.695, 0.694, 0.693, 0.692, 0.692, 0.692, 0.692], [0.69] * 8),
    "no better": ([0.7] * 8, [0.7] * 8),
    "by heart at once": ([0.8, 0.75, 0.72, 0.72, 0.72, 0.72, 0.72, 0.72], [0.05] * 8),
    "diverges": ([0.7, 0.9, 1.2, 2.0, 3.0, 3.0, 3.0, 3.0], [0.7, 0.9, 1.2, 2.0, 3.0, 3.0, 3.0, 3.0]),
    "learns by heart": ([0.7, 0.8, 1.0, 1.5, 2.0, 2.1, 2.1, 2.1], [0.6, 0.3, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01]),
    "underfits": ([0.65, 0.62, 0.62, 0.62, 0.62, 0.62, 0.62, 0.62], [0.65, 0.61, 0.61, 0.61, 0.61, 0.61, 0.61, 0.61]),
    "underfits and gapes": ([0.66, 0.65, 0.64, 0.64, 0.64, 0.64, 0.64, 0.64], [0.66, 0.62, 0.59, 0.59, 0.59, 0.59, 0.59, 0.59]),
    "underfits, then worse": (
        [0.66, 0.58, 0.6, 0.64, 0.66, 0.68, 0.68, 0.68],
        [0.66, 0.57, 0.57, 0.57, 0.57, 0.57, 0.57, 0.57],
    ),
    "much is left": ([0.6, 0.45, 0.42, 0.42, 0.42, 0.42, 0.42, 0.42], [0.6, 0.45, 0.42, 0.42, 0.42, 0.42, 0.42, 0.42]),
    "first is best": ([0.3, 0.31, 0.32, 0.32, 0.31, 0.32, 0.32, 0.32], [0.29, 0.30, 0.31, 0.31, 0.31, 0.31, 0.31, 0.31]),
    "one epoch": ([0.6], [0.6]),
    "two epochs": ([0.5, 0.3], [0.5, 0.3]),
}
STATES = {"epochs": "finished", "early_stop": "finished", "not_finite": "failed", "signal": "stopped"}
LAYERS = {"fine": (1.0, 1.0), "fade": (0.05, 1.0), "vanish": (0.01, 1.0), "explode": (300.0, 1.0), "single": (None, 1.0)}
CONFIDENCE = {
    "fits": (0.0, 0.01),
    "over": (0.15, 0.15),
    "a little over": (0.08, 0.09),
    "under": (-0.2, 0.2),
    "bins": (0.0, 0.4),
}
BALANCE = ("even", "rare never", "rare found", "several labels")
EFFECTS = {
    "none": (),
    "dropout hurts": (Effect("model.dropout", 1, False),),
    "dropout helps": (Effect("model.dropout", 1, True), Effect("augment.strength", 1, True)),
    "rates": (Effect("train.learning_rate", 1, False), Effect("train.learning_rate", -1, False)),
}
PROJECTS = {
    "digits": [],
    "photos": ["data=folder", "data.path=data/photos"],
    "bare": ["augment=none", "model.dropout=0", "model.widths=[]", "train.weight_decay=0", "prepare.limit=500"],
    "all set": ["model.dropout=0.5", "train.weight_decay=0.1", "train.label_smoothing=0.1", "augment.erase=0.25",
                "train.clip_norm=0.5", "train.early_stop=2", "model.widths=[32]", "model.norm=layer"],
    "half": ["augment.strength=0.4", "augment.erase_area=0", "model.dropout=0.3", "train.limit=200", "train.clip_norm=5",
             "train.early_stop=9", "train.monitor=val_accuracy", "prepare.val_fraction=0.5", "prepare.test_fraction=0.3"],
    "deep": ["model.activation=sigmoid", "model.widths=[64,64,64,64,64,64]", "model.init=he", "data=parquet",
             "data.path=data/x", "data.split=part", "study=activations"],
    "convolutions": ["model=cnn", "model.activation=leaky_relu", "data=idx", "data.path=data/x", "study=none"],
}  # fmt: skip


@cache
def values(name):
    with candidate(added(Overrides(), PROJECTS[name], CONF)[0], CONF) as conf:
        return composed(conf)


@cache
def task_of(balance, val, test):
    """Two classes, or several labels."""
    share = 0.54 if balance in ("even", "several labels") else 1 - 3 / max(200, test)
    sizes = {"train": [round(2000 * share), 2000 - round(2000 * share)]}
    sizes |= {split: [num - max(1, round(num * (1 - share))), max(1, round(num * (1 - share)))]
              for split, num in (("val", val), ("test", test))}  # fmt: skip
    return manifest(
        task="multi" if balance == "several labels" else "single", classes=["a", "b"], class_counts=sizes,
        counts={split: sum(own) for split, own in sizes.items()}, shape=[3, 8, 8] if test == 30 else [1, 8, 8],
    )  # fmt: skip


def made(balance="even", sizes=(400, 400), gain=(0.3, 0.3), curves="well", ended="epochs", layers="fine",
         confidence="fits", effects="none", project="digits", reads=1, temperature=None):  # fmt: skip
    task = task_of(balance, *sizes)
    guess = max(task.class_counts["test"]) / task.counts["test"]
    accuracy = [min(1.0, guess + more) for more in gain]
    counts = majority(task) if balance == "rare never" else spread(task, accuracy[1])
    (first, last), (more, error) = LAYERS[layers], CONFIDENCE[confidence]
    norms = {"output": last} if first is None else {"dense1": first, "output": last}
    share = task.class_counts["train"][0] / task.counts["train"]
    scale = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    val, clean = (np.array(curve) * scale for curve in CURVES[curves])
    given = records(
        list(val), list(clean), norms, task=task, counts=counts, effects=EFFECTS[effects], state=STATES[ended],
        stop_reason=ended, best_val_measure=accuracy[0],
        test={"accuracy": accuracy[1], "mean_confidence": min(1.0, max(0.0, accuracy[1] + more)),
              "calibration_error": error, "test_reads": reads, "temperature": temperature, "val_loss": float(val.min()),
              "scaled_val_loss": float(0.8 * val.min())},
    )  # fmt: skip
    return given.__class__(**{**vars(given), "project": project_of(values(project))})


def grid(**axes):
    names = list(axes)
    for choice in itertools.product(*axes.values()):
        yield dict(zip(names, choice, strict=True))


OUTCOMES = {
    "curves": CURVES,
    "sizes": [(400, 400), (400, 30), (30, 400), (30, 30)],
    "gain": [(0.3, 0.3), (0.3, 0.01), (0.01, 0.3), (0.01, 0.01), (0.07, 0.03)],
    "ended": STATES,
    "balance": BALANCE,
    "layers": ["fine", "vanish", "explode"],
    "confidence": ["fits", "over", "under"],
}
ADVICE = {"project": PROJECTS, "curves": CURVES, "layers": LAYERS, "confidence": ["fits", "over", "under"],
          "effects": EFFECTS, "gain": [(0.3, 0.3), (0.01, 0.01)]}  # fmt: skip


def some(axes, stride):
    """Every so many of a grid's points; the stride has no factor in common with an axis, so each pair of values occurs."""
    return list(itertools.islice(grid(**axes), 0, None, stride))


def claims(finding):
    """What a finding says, by question; each finding is known to the table above."""
    [found] = [what for (topic, start), what in CLAIMS.items() if topic == finding.topic and finding.headline.startswith(start)]
    return found


def contradictions(said, run):
    """Questions that a report answers with yes and with no."""
    answers = defaultdict(dict)
    sentence = [what for words, what in SENTENCES.items() if words in said.headline]
    assert len(sentence) == 1, said.headline
    everything = [(finding.headline, claims(finding)) for finding in said.findings]
    first = {**sentence[0], **({"learned": True} if said.headline.startswith("The network learned") else {})}
    for source, what in [*everything, (said.headline, first), ("state", {"finished": run.state == "finished"})]:
        for question, answer in what.items():
            answers[question].setdefault(answer, source)
    return [(question, *sources.values()) for question, sources in answers.items() if len(sources) > 1]


def unfounded_praise(said, given):
    """What is called fine where the training did not finish."""
    return [f.headline for f in said.findings if f.level == "good" and given.run.state != "finished"]


REGULARISES = {"model.dropout", "augment", "augment.strength", "augment.erase", "train.weight_decay"}


def directions(given, step):
    """By key: whether a step raises (1) or lowers (-1) it, from what its words on the command line say."""
    found = {}
    for word in shlex.split(step.command)[2:]:
        key, is_value, text = word.partition("=")
        if not is_value or text.isidentifier():
            found |= {"regularisation": 1} if key == "augment" else {}
            continue
        now, new = (amount(value) for value in (given.project.value(key), numbers(text)))
        assert now != new, f"{step.command} changes nothing"
        found[key] = 1 if new > now else -1
        found |= {"regularisation": found[key]} if key in REGULARISES else {}
    return found


def numbers(text):
    return [float(part) for part in text.strip("[]").split(",")] if text.startswith("[") else float(text)


def amount(value):
    return float("inf") if value is None else sum(value) if isinstance(value, list) else float(value)


def undone(said, given):
    """Keys that one finding's advice raises and another's lowers."""
    ways = defaultdict(set)
    for finding in said.findings:
        for step in finding.steps:
            for key, way in directions(given, step).items():
                ways[key].add(way)
    return [key for key, both in ways.items() if len(both) > 1]


def against_studies(said, given):
    """Steps that a study has found to do harm; a training that failed must lower its rate all the same."""
    steps = [step for finding in said.findings if finding.topic != "Training" for step in finding.steps]
    keys = {
        (effect.key, effect.way if not effect.helps else -effect.way)
        for effect in given.effects
        if given.run.state == "finished"
    }
    return [step.command for step in steps if keys & set(directions(given, step).items())]


@cache
def told(**point):
    """What is said of a point of a grid."""
    return verdict(made(**point))


def faults(point):
    given, said = made(**point), told(**point)
    found = [*contradictions(said, given.run), *unfounded_praise(said, given), *undone(said, given)]
    found += against_studies(said, given)
    found += [f"{f.headline} says nothing to do" for f in said.findings if f.level != "good" and not f.steps]
    found += [f"{f.headline} is fine, and to be mended" for f in said.findings if f.level == "good" and f.steps]
    return found


SINGLE = [
    {"reads": 11}, {"layers": "fade"}, {"confidence": "bins"}, {"confidence": "a little over"}, {"balance": "rare found"},
    *({"temperature": temperature, "confidence": confidence, "gain": gain, "effects": effects}
      for temperature in (0.05, 0.5, 2.0) for confidence in CONFIDENCE for gain in OUTCOMES["gain"]
      for effects in ("none", "dropout hurts")),
]  # fmt: skip
POINTS = [*some(OUTCOMES, 61), *some(ADVICE, 31), *SINGLE]


def test_no_two_findings_deny_each_other():
    wrong = [(point, found) for point in POINTS if (found := faults(point))]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("axes", [OUTCOMES, ADVICE], ids=["outcomes", "advice"])
def test_no_two_findings_deny_each_other_anywhere(axes):
    wrong = [(point, found) for point in some(axes, 7) if (found := faults(point))]
    assert wrong == []


def test_the_grid_reaches_every_finding():
    said = [finding for point in POINTS for finding in told(**point).findings]
    reached = {key for key in CLAIMS for finding in said if finding.topic == key[0] and finding.headline.startswith(key[1])}
    assert reached == set(CLAIMS)
    assert {finding.rule for finding in said} | {
        "few_of_class",
        "unchanged",
        "missed",
        "baseline",
        "few_positives",
        "costs",
        "telling",
        "unlearned",
    } == set(TOPICS)


def commands(points):
    """Each command that is advised in a project, once."""
    found = {}
    for point in points:
        for finding in told(**point).findings:
            found |= {(point.get("project", "digits"), step.command): finding for step in finding.steps if step.command}
    return list(found)


def check(name, command, whole):
    """Send a command through the command line, the overrides and the check of the configuration."""
    program, *words = shlex.split(command)
    options = parsed(words)
    assert program == "regatta"
    if options.command == "study" and options.name is not None:
        assert (CONF / "study" / f"{options.name}.yaml").exists()
    if options.command != "run":
        return
    overrides = added(added(Overrides(), PROJECTS[name], CONF)[0], options.overrides, CONF)[0]
    if whole or any(word.partition("=")[0] in ("augment", "model") for word in options.overrides):
        with candidate(overrides, CONF) as conf:
            new = composed(conf)
    else:
        new = merged(values(name), overrides.values)
    checked(new)
    own, then = dict(flat(values(name))), dict(flat(new))
    assert own != then or not options.overrides, f"{command} changes nothing"


def test_every_command_that_is_advised_is_taken():
    found = commands(POINTS)
    assert len({command for _, command in found}) > 30
    for name, command in found:
        check(name, command, whole=False)


@pytest.mark.slow
def test_every_command_that_is_advised_is_composed():
    for name, command in commands([*some(ADVICE, 7), *some(OUTCOMES, 31), *SINGLE]):
        check(name, command, whole=True)
