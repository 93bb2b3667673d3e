"""Whether another network's weights may be a better start: few training samples, and room above what it reaches."""

from __future__ import annotations

from pipeline.kinds.inputs import inputs_of, meanings_of
from pipeline.report.run.records import Records
from pipeline.report.run.rules.finding import Finding, Step
from pipeline.report.run.rules.guessing import accuracy_range
from pipeline.report.run.rules.training import nothing_left
from pipeline.report.words import plural

FEW_TRAINING = 5000
"""Training samples from which on a start from elsewhere is not proposed."""
CEILING = 0.99
"""Where the test accuracy's interval reaches it, there is little that another start could add."""


def another_start(records: Records) -> list[Finding]:
    """Propose the study that tells; nothing where it can't help, or a study of this dataset has asked already."""
    num = records.manifest.counts["train"]
    started = records.started_elsewhere or records.project.model.backbone is not None
    if num >= FEW_TRAINING or started or not _can_start(records) or _at_ceiling(records):
        return []
    detail = (
        f"{plural(num, 'training sample')} are few to start from nothing with. A network that was trained on more data of the "
        "kind may know what these can't show, or hold what is in the way here: the study compares both, by seed."
    )
    step = Step(
        "Ask whether another network is a better start; it names the runs to take, or says how one is made",
        words="study transfer",
    )
    return [Finding("start", "note", "Few training samples: another start may help", detail, (step,))]


def _can_start(records: Records) -> bool:
    """Whether the study is of such data, and inputs mean the same in other data of the kind, as columns of tables don't."""
    manifest = records.manifest
    same = meanings_of(manifest.kind) is None or hasattr(inputs_of(manifest.kind), "num_tokens")
    embedded = records.project.data.source == "digits"
    return manifest.task == "single" and same and not embedded and records.run.state == "finished"


def _at_ceiling(records: Records) -> bool:
    return nothing_left(records) or accuracy_range(records.test)[1] >= CEILING
