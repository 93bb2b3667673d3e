"""W&B as the mirror of a run's or a study's records, in a process of its own (see mirror.py); the only importer of wandb.

The mirror reads `metrics.jsonl` whenever the training has appended to it, so the training neither waits for W&B nor
can be changed or ended by it: no error, slow network or crash of W&B's own service reaches it. Offline unless told
otherwise: the mirror is then a file below the run's folder, sent later with `wandb sync`. A run that is started again is
mirrored from its first epoch: epoch e is always step e, so what was sent before is sent again unchanged.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifacts import held, make_dir, read_json, write_json
from pipeline.errors import BusyError
from pipeline.mirror import LIMIT_S, marker, say
from pipeline.schema.tracking import TrackingConfig

if TYPE_CHECKING:
    import wandb

REACH_S = 5.0
"""How long any answer of the server is waited for; W&B's own client tries for 90 s."""
INIT_S = 20.0
"""How long a server that answers may take to open a run."""
FINISH_S = LIMIT_S - REACH_S - INIT_S - 5.0
"""How long the end of a run waits for what has not been sent; the local file has it in any case."""
SIDE_BY_SIDE = 8
"""Cells that are sent to a server at once: each waits for some answers (0.6 s in all where an answer takes 0.1 s)."""
STUDY_SETTINGS = {"reinit": "create_new", "x_disable_stats": True, "finish_timeout_raises": True}
"""No use of the machine is recorded, since the cells were computed before; a cell that was not sent whole is an error."""


def flattened(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rows of one epoch under W&B's flat names: "val/loss", "train/grad_norm/dense1"."""
    flat: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, Mapping):
                family = f"{row['split']}/{name.removeprefix('layer_').removesuffix('s')}"
                flat |= {f"{family}/{part}": number for part, number in value.items()}
            elif name not in ("epoch", "split"):
                flat[f"{row['split']}/{name}"] = value
    return flat


def _main() -> None:
    """The mirror's process; the first line of standard input, JSON, says what is to be mirrored."""
    start = json.loads(sys.stdin.readline())
    try:
        (_mirror_study if "study" in start else _mirror_run)(start)
    except Exception as error:  # W&B's own errors share no base class with those of its service
        say(f"W&B mirrors no further ({_short(error)}); the records are whole without it")
        _tear_down()


def _mirror_run(start: Mapping[str, Any]) -> None:
    """Empty lines on standard input announce rows; JSON, or the end of it, ends the run."""
    folder = Path(start["folder"])
    with _alone(folder / ".mirror.lock"):  # a start before this one, which was killed, may have a mirror still
        run = _started(TrackingConfig(**start["config"]), start["run_id"], folder, start["params"])
        rows = _new_rows(folder / "metrics.jsonl")
        while (line := sys.stdin.readline()) == "\n":
            _log(run, next(rows))
        signal.alarm(int(FINISH_S) + 5)  # a training that was killed can't end a mirror that hangs
        _log(run, next(rows))
        end = json.loads(line or '{"summary": {}, "exit_code": 1}')
        run.summary.update(end["summary"])
        run.finish(exit_code=end["exit_code"])


def _mirror_study(start: Mapping[str, Any]) -> None:
    """The cells one after the other; those that a server does not take become local files."""
    signal.alarm(int(start["limit_s"]) + 5)
    config, folder = TrackingConfig(**start["config"]), Path(start["folder"])
    with _alone(folder / "wandb" / ".lock"):
        if config.mode == "online":
            try:
                _check_online(_wandb("online", **STUDY_SETTINGS))
                _mirror_cells("online", config, folder, start)
                return
            except Exception as error:
                _tear_down()
                reason = _short(error)
        _mirror_cells("offline", config, folder, start)
        if config.mode == "online":
            place = folder / "wandb" / "offline-run-*"
            say(f"W&B is not used online ({reason}); send the study's runs later with: wandb sync {place}")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process mirrors from this folder, as long as this one may last; then keep others waiting."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(lock))
                break
            except BusyError:
                time.sleep(0.1)
        yield


def _mirror_cells(mode: str, config: TrackingConfig, folder: Path, start: Mapping[str, Any]) -> None:
    _wandb(mode, **STUDY_SETTINGS)
    missing = [
        cell
        for cell in start["cells"]
        if not any(marker(folder, config, done, cell["hash"]).exists() for done in (mode, config.mode))
    ]
    with ThreadPoolExecutor(SIDE_BY_SIDE if mode == "online" else 1) as pool:  # one that fails cancels those not begun
        urls = list(pool.map(lambda cell: _mirror_cell(mode, config, folder, start["study"], cell), missing))
    if mode == "online" and urls:
        say(f"W&B shows the study at {urls[0]}/groups/{urllib.parse.quote(start['study'])}")


def _mirror_cell(mode: str, config: TrackingConfig, folder: Path, study: str, cell: Mapping[str, Any]) -> str | None:
    """Mirror one cell and then leave its marker; the URL of the project, if it has one."""
    import wandb

    _remove_unfinished(folder / "wandb", cell["hash"])
    run = wandb.init(
        project=config.project,
        entity=config.entity,
        group=study,
        id=cell["hash"],
        name=f"{cell['variant']} seed {cell['seed']}",
        dir=str(folder),
        config={"variant": cell["variant"], "seed": cell["seed"], **cell["config"]},
    )
    url = run.project_url if mode == "online" else None
    _log(run, cell["rows"])
    run.summary.update(cell["metrics"] | ({"failure": cell["failure"]} if cell["failure"] else {}))
    run.finish(exit_code=1 if cell["failure"] else 0)
    target = {"mode": mode, "entity": config.entity, "project": config.project, "group": study}
    place = marker(folder, config, mode, cell["hash"])
    make_dir(place.parent)
    write_json(place, target | {"folder": Path(run.dir).parent.name})
    return url


def _remove_unfinished(place: Path, name: str) -> None:
    """Remove what a mirror that was killed has left of a cell; a folder that a marker names was finished."""
    finished = {read_json(mark)["folder"] for mark in place.glob(f"mirrored/*/{name}.json")}
    for left in place.glob(f"*run-*-{name}*"):
        if left.name not in finished:
            shutil.rmtree(left)


def _new_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Each time it is asked: the rows that a file of JSON lines has gained; a line that is not whole yet waits."""
    offset = 0
    while True:
        lines = b""
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                lines = b"".join(line for line in file if line.endswith(b"\n"))
        offset += len(lines)
        yield [json.loads(line) for line in lines.splitlines()]


def _log(run: wandb.Run, rows: Sequence[Mapping[str, Any]]) -> None:
    for epoch, group in itertools.groupby(rows, key=lambda row: int(row["epoch"])):
        run.log(flattened(list(group)), step=epoch, commit=True)


def _started(config: TrackingConfig, run_id: str, folder: Path, params: Mapping[str, Any]) -> wandb.Run:
    if config.mode == "online":
        try:
            _check_online(_wandb("online"))
            run = _new_run("online", config, run_id, folder, params)
            say(f"W&B shows the run at {run.url}")
            return run
        except Exception as error:
            _tear_down()
            reason = _short(error)
    run = _new_run("offline", config, run_id, folder, params)
    if config.mode == "online":
        say(f"W&B is not used online ({reason}); send the run later with: wandb sync {Path(run.dir).parent}")
    return run


def _new_run(mode: str, config: TrackingConfig, run_id: str, folder: Path, params: Mapping[str, Any]) -> wandb.Run:
    shutil.rmtree(folder / "wandb", ignore_errors=True)  # an earlier start's; all of it is mirrored again
    folder.mkdir(parents=True, exist_ok=True)
    return _wandb(mode).init(  # type: ignore[no-any-return]
        project=config.project, entity=config.entity, id=run_id, dir=str(folder), config=dict(params)
    )


def _wandb(mode: Any, **settings: Any) -> Any:
    """W&B, told to leave out what it writes by default: the command line, the host's and user's names, the Git remote."""
    import wandb

    wandb.setup(
        wandb.Settings(
            mode=mode,
            silent=True,
            console="off",
            symlink=False,
            host="",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_save_requirements=False,
            x_transaction_log_flush_interval=1,
            init_timeout=INIT_S,
            finish_timeout=FINISH_S,
            **settings,
        )
    )
    return wandb


def _tear_down() -> None:
    """End W&B's service now; what is wrong with it has been told, and is not to be told again at exit."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def _check_online(wandb: Any) -> None:
    """Fail early where W&B would try for long, and never ask a person for a key in the middle of a run."""
    url = wandb.setup().settings.base_url
    try:
        urllib.request.urlopen(url, timeout=REACH_S).close()
    except urllib.error.HTTPError:
        pass  # any answer will do
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # W&B brings certificates of its own
            raise ConnectionError(f"{url}: {reason}") from None
    if not wandb.login(prompt=False, verify=False):
        raise PermissionError("no API key: set WANDB_API_KEY, or run `wandb login` once")


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


if __name__ == "__main__":
    _main()
