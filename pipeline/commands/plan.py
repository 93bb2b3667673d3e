"""`regatta run --dry-run`: what would run and why, sizes, expected time and memory. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.artifacts import CODE, read_json, stage_dir
from pipeline.commands.compose import Change, changes_told, given_paths, overrides_now, shortened
from pipeline.commands.reproduce import in_order
from pipeline.config import Config, Values, checked, differences, read_values
from pipeline.data.dataset import Manifest, form_words, mapped, open_dataset
from pipeline.data.features import as_features, made_by
from pipeline.errors import RegattaError
from pipeline.kinds.keys import kind_named
from pipeline.progress import duration
from pipeline.stages.code import locked_digest
from pipeline.train.device import device_type
from pipeline.train.program import Lane, Program, batch_note, program_of, threads_for
from pipeline.wording import bytes_told, first_of

DIGESTS = stage_dir(CODE)


def show_plan(new: Change) -> None:
    for line in [*new.recognised, *new.notes]:
        print(line)
    for line in (f"would make {link}" for link in new.links):
        print(line)
    for line in shortened(changes_told(read_values() or {}, overrides_now(), new)):
        print(f"params.yaml would change: {line}")
    stale = stale_stages(new.values)
    for name, reasons in stale.items():
        print(f"{name:10s} {'would run: ' + '; '.join(reasons) if reasons else 'is up to date'}")
    prepared = not stale.get("prepare", ["?"])
    known = estimates(new, prepared) | (_studies(new.values, stale) if prepared else {})
    for name, value in known.items():
        print(f"{name + ':':22s} {value}")


def stale_stages(values: Values) -> dict[str, list[str]]:
    """The stages in order, each with the reasons for which DVC would run it under these values; none where DVC can't say."""
    from dvc.exceptions import DvcException

    from pipeline.commands.project import Project, foreseen

    try:
        with Project() as repo:
            repo.fs = foreseen(values)
            return _stale(repo.index.graph, repo.status(), kind_named(values))
    except (DvcException, OSError, UnicodeError) as error:
        print(f"DVC can't say what has changed ({' '.join(str(error).split())})")
        return {}


def _stale(graph: Any, status: Mapping[str, list[Any]], kind: str) -> dict[str, list[str]]:
    stages = {stage.addressing: stage for stage in graph}
    reasons: dict[str, list[str]] = {}
    for name in in_order(graph, [], []):
        stage = stages[name]
        known = any(dep.hash_info for dep in stage.deps)
        its = [*_param_reasons(stage), *_status_reasons(status.get(name, [])), *_code_reasons(stage, kind)] if known else []
        read = {other.addressing for other in graph.successors(stage)}
        above = [other for other in reasons if reasons[other] and other != CODE and other in read]
        follows = [f"it follows {', '.join(above)}"] if above else []
        reasons[name] = [*its, *([] if known else ["it has never run here"]), *follows]
    return reasons


def _param_reasons(stage: Any) -> list[str]:
    """Keys whose values differ from those that the stage last ran with."""
    from dvc.dependency.param import ParamsDependency

    deps = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    changed = [line for dep in deps for line in differences(dep.hash_info.value or {}, dep.read_params())]
    return [_some(changed)] if changed else []


def _some(names: list[str]) -> str:
    return first_of(names, 3)


def _status_reasons(entries: list[Any]) -> list[str]:
    """DVC's words for changed files, those about parameters and about other stages' outputs left out."""
    reasons = ["its command changed"] if "changed command" in entries else []
    for entry in entries:
        for what, paths in entry.items() if isinstance(entry, Mapping) else ():
            names = [f"{path} {how}" for path, how in paths.items() if isinstance(how, str) and Path(path).parent != DIGESTS]
            if names:
                kind = "input" if what == "changed deps" else "output"
                reasons.append(f"{kind} {_some(names)}")
    return reasons


def _code_reasons(stage: Any, kind: str) -> list[str]:
    """Whether the code is another than that of the last time, known before `code` has run again."""
    digests = [dep for dep in stage.deps if Path(dep.def_path).parent == DIGESTS]
    changed = [dep for dep in digests if dep.hash_info.value != locked_digest(Path(dep.def_path).name, kind)]
    return ["its code changed"] if changed else []


def estimates(new: Change, prepared: bool) -> dict[str, str]:
    """Sizes, time and memory as far as they are known: all of them follow from the prepared data."""
    config, path = checked(new.values), stage_dir("prepare") / "dataset.json"
    if not prepared or not path.exists():
        targets = new.targets
        known = {key: bytes_told(_size(targets.get(place, place))) for key, place in given_paths(new.values).items()}
        return known | {"dataset": "known once prepare has run", "training time, memory": "known once prepare has run"}
    data = Manifest(**read_json(path))
    sizes = {name: mapped(path.parent / name / "inputs.npy").nbytes for name in data.counts}
    return {**_sizes(config, data, sizes), **_training(config, data, sizes["train"])}


def _sizes(config: Config, data: Manifest, sizes: Mapping[str, int]) -> dict[str, str]:
    views = config.augment.views * sizes["train"]
    counts = ", ".join(f"{name} {count}" for name, count in data.counts.items())
    return {
        "dataset": f"{bytes_told(sum(sizes.values()))} ({counts}; {form_words(data)})",
        "augmented copies": f"{bytes_told(views)} ({config.augment.views} per training sample)" if views else "none stored",
    }


def _training(config: Config, data: Manifest, stored: int) -> dict[str, str]:
    try:
        program, lane = program_of(config.model, config.train, data)
        made = made_by(config.model, data, device_type(config.train.device))
    except RegattaError as error:
        return {"training": f"would be refused: {error}"}
    if made:
        width = made.backbone.width
        data, stored = as_features(data, width), 4 * width * len(open_dataset(stage_dir("prepare")).split("train").stored)
    there = made is not None and (made.path() / "dataset.json").exists()
    weights = program.spec.layout().num_parameters
    # Weights, gradient, two averages and the best so far in float32; inputs stay in memory as stored.
    resident = 5 * 4 * weights + stored * max(1, config.augment.views)
    note = batch_note(config.train, program, data)
    return {
        "parameters": f"{weights:,}",
        **({"batch": note} if note else {}),
        **(
            {"features": f"{made.backbone.width} of a sample, {'there' if there else 'made once, before training'}"}
            if made
            else {}
        ),
        "training time": f"{_tried(config, program, lane, data)}, {config.train.epochs} epochs{' of the head' if made else ''}",
        "training memory": f"about {bytes_told(resident)}{' for the head' if made else ''} beside the libraries' own",
    }


def _studies(values: Values, stale: Mapping[str, list[str]]) -> dict[str, str]:
    """The time of the studies that would run, where what they are trained on is there."""
    from pipeline.commands.study import expected_time

    if stale.get("augment", ["?"]):
        return {}
    chosen, on_run = values["study"]["definitions"], values["study"]["on_run"]
    names = [name for name in chosen if stale.get(f"study@{name}") and (on_run is None or name in on_run)]
    return {f"study {name}": expected_time(name, values) for name in names}


def _tried(config: Config, program: Program, lane: Lane, data: Manifest) -> str:
    """The time of training, by some steps of it here and now."""
    from pipeline.commands.study import TRIED
    from pipeline.data.views import Views
    from pipeline.train.trial import expected_seconds

    policy, device = config.augment.scaled(), device_type(config.train.device)
    threads = threads_for(program, config.train.threads, config.train.shards)
    seconds = expected_seconds(program, [lane], [Views([], policy, "tried")], data, device, threads)
    alone = "" if config.cluster.kind == "local" else " by one worker"
    num = config.train.members
    each = f" for {num} networks" if num > 1 else ""
    return f"about {duration(num * seconds)}{alone}{each}, {TRIED}"


def _size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if path.is_dir()
        else path.stat().st_size
        if path.exists()
        else 0
    )
