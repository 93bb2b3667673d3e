"""What makes results too good: data that is known only once the answer is."""

from __future__ import annotations

from pipeline.kinds.words import shell_word
from pipeline.report.run.records import Records
from pipeline.report.run.rules.finding import Finding, Step


def telling(records: Records) -> list[Finding]:
    """Whether `prepare` found features that alone say nearly all of the answer."""
    found = records.manifest.telling
    if not found:
        return []
    detail = (
        f"{found['said'][0].upper()}{found['said'][1:]}. Where that is not yet known when the model is asked, all results here "
        "are too good."
    )
    step = Step("Leave it out, unless it is known beforehand", words=f"run {shell_word(found['without'])}")
    return [Finding("telling", "warn", "Some of the data alone gives the answer away", detail, (step,))]
