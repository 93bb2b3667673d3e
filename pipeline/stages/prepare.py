"""From what the user has to a dataset: `artifacts/prepare`."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import REJECTED, published_dir, stage_dir
from pipeline.closure import stage_digest
from pipeline.data.dataset import SPLITS, Manifest, form_words
from pipeline.kinds.extended import code_for
from pipeline.kinds.keys import data_section
from pipeline.prepare.build import build_dataset
from pipeline.prepare.sources import source_of
from pipeline.prepare.watch import Watch
from pipeline.schema.data import PATHS
from pipeline.schema.prepare import PrepareConfig
from pipeline.stages.entry import read_sections, run_stage, section
from pipeline.wording import counted, some


def run() -> None:
    """Read, check, split and store the data as params.yaml says."""
    params = read_sections("data")
    data, prepare = data_section(params), section(params, "prepare", PrepareConfig)
    place = data.path or data.train_path or "embedded"
    print(f"prepare: reading {source_of(data)} ({place}) into {stage_dir('prepare')}", flush=True)
    watch = Watch([Path(path) for path in (getattr(data, key) for key in PATHS) if path])
    with published_dir(stage_dir("prepare")) as folder:
        manifest = build_dataset(data, prepare, folder, code_for(data.kind, stage_digest("prepare", data.kind)))
        watch.check("prepare")
    print("\n".join(_summary(manifest)), flush=True)


def _summary(manifest: Manifest) -> list[str]:
    counts = ", ".join(f"{split} {manifest.counts[split]}" for split in SPLITS)
    num, form = sum(manifest.counts.values()), form_words(manifest)
    what = f"of {counted(len(manifest.classes), 'class')}" if manifest.classes else f"with {some(manifest.targets, 'number')}"
    lines = [f"prepare: {counted(num, 'sample')} {what} as {form}: {counts}"]
    if manifest.num_rejected:
        lines.append(
            f"prepare: {manifest.num_rejected} of {manifest.num_read} not taken: {stage_dir('prepare')}/{REJECTED} says why"
        )
    return lines + [f"prepare: {note}" for note in manifest.notes]


if __name__ == "__main__":
    run_stage("prepare", run)
