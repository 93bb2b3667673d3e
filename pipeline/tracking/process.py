"""W&B as the mirror of a run's or a study's records, in a process of its own (see mirror.py).

The mirror reads `metrics.jsonl` whenever the training has appended to it, so the training neither waits for W&B nor
can be changed or ended by it: no error, slow network or crash of W&B's own service reaches it. Offline unless told
otherwise: the mirror is then a file below the run's folder, sent later with `wandb sync`. What a server has not taken
whole, at the beginning or later, becomes such a file too. A run that is started again is mirrored from its first epoch:
epoch e is always step e, so what was sent before is sent again unchanged.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import signal
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.artifacts import digest, held, make_dir, read_json, write_json
from pipeline.errors import BusyError
from pipeline.mirror import LIMIT_S, say
from pipeline.schema.tracking import LONGEST_NAME, TrackingConfig
from pipeline.tracking.local_file import wait_until_whole

if TYPE_CHECKING:
    import wandb

REACH_S = 5.0
"""How long any answer of the server is waited for; W&B's own client tries for 90 s."""
INIT_S = 20.0
"""How long a server that answers may take to open a run."""
FINISH_S = LIMIT_S - REACH_S - INIT_S - 10.0
"""How long the end of a run waits for what has not been sent; what is left of the limit is for the local file."""
FLUSH_S = 10.0
"""How long the end of a run's local file is waited for after W&B's service has said that the run is over."""
LEAST_BYTES = 1_500_000 * 1024
"""Of address space; with less W&B's service ends with pages of Go's and is waited for in vain (1.3 GB do not do, 1.4 do)."""
SIDE_BY_SIDE = 8
"""Cells that are sent to a server at once: each waits for some answers (0.6 s in all where an answer takes 0.1 s)."""
STUDY_SETTINGS = {"reinit": "create_new", "x_disable_stats": True}
"""No use of the machine is recorded, since the cells were computed before."""
MODES = {word: word for word in ("online", "offline", "disabled")} | {"run": "online", "shared": "online", "dryrun": "offline"}
"""The words of WANDB_MODE, the least strict meaning first."""
STRICTNESS = tuple(dict.fromkeys(MODES.values()))
TRUE = ("1", "true", "t", "yes", "y", "on")
LOST = re.compile("synced|upload|[Tt]imed out")
"""In those of W&B's warnings that say that data did not arrive."""


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


class _Training:
    """What the training says on standard input: empty lines announce rows; JSON, or the end of it, ends the run."""

    def __init__(self) -> None:
        self._end: dict[str, Any] | None = None

    def announcements(self) -> Iterator[None]:
        """One for each time that there may be new rows, the last one when the training has ended."""
        while self._end is None:
            line = sys.stdin.readline()
            if line != "\n":
                self._end = json.loads(line or '{"summary": {}, "exit_code": 1}')
                signal.alarm(int(LIMIT_S))  # a training that was killed can't end a mirror that hangs
            yield

    @property
    def end(self) -> dict[str, Any]:
        """Its summary and exit code."""
        for _ in self.announcements():
            pass
        assert self._end is not None
        return self._end


class _Losses:
    """Listens to W&B's warnings: nothing else tells of data that did not arrive after a run was opened."""

    def __init__(self) -> None:
        self._heard: list[str] = []

    def info(self, message: str) -> None:
        """Nothing that is lost."""

    def warning(self, message: str) -> None:
        """Keep it where it tells of a loss."""
        if LOST.search(message):
            self._heard.append(re.sub(r"^wandb: (WARNING|ERROR) ", "", message).split(". ")[0])

    error = warning

    def check(self) -> None:
        """Raise ConnectionError if anything has been lost so far."""
        if self._heard:
            raise ConnectionError(f"not all that was sent has arrived: {self._heard[0]}")


def main() -> None:
    """The mirror's process; the first line of standard input, JSON, says what is to be mirrored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is for the training, which then finishes the mirror
    start = json.loads(sys.stdin.readline())
    start["silent"] = os.environ.get("WANDB_SILENT", "").lower() in TRUE
    os.environ["WANDB_SILENT"] = "true"  # before W&B reads its settings, which it would tell
    try:
        room = _lack_of_room()
        mode, reason = ("disabled", room) if room else settled(start["config"]["mode"])
        if mode == "disabled":
            say(f"nothing is mirrored to W&B ({reason}), although tracking.mode={start['config']['mode']}")
        else:
            (_mirror_study if "study" in start else _mirror_run)(mode, reason, start)
    except Exception as error:  # W&B's own errors share no base class with those of its service
        say(f"W&B mirrors no further ({_short(error)}); the records are whole without it")
        _tear_down()


def _lack_of_room() -> str:
    """Why W&B's service can't be started here, if so."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    small = limit != resource.RLIM_INFINITY and limit < LEAST_BYTES
    return f"`ulimit -v` = {limit // 1024:,} kB is less than its service takes" if small else ""


def settled(mode: str) -> tuple[str, str]:
    """The stricter of `tracking.mode` and what W&B itself was told, and where it was told that if it is the stricter."""
    told, where = _told()
    return (told, where) if STRICTNESS.index(told) > STRICTNESS.index(mode) else (mode, "")


def _told() -> tuple[str, str]:
    """The mode that W&B was told by the environment or by `wandb offline`, and where; a word unknown to it sends nothing."""
    import wandb

    disabled, mode = (os.environ.pop(name, "") for name in ("WANDB_DISABLED", "WANDB_MODE"))
    if disabled.lower() in TRUE:  # of the releases before 0.31, and of trainers that know it
        return "disabled", f"WANDB_DISABLED={disabled}"
    if mode:
        return MODES.get(mode.lower(), "offline"), f"WANDB_MODE={mode}"
    return MODES[wandb.setup().settings.mode], "W&B's settings file; `wandb online` changes it"


def _mirror_run(mode: str, reason: str, start: Mapping[str, Any]) -> None:
    folder, training = Path(start["folder"]), _Training()
    with _alone(folder / ".mirror.lock"):  # a start before this one, which was killed, may have a mirror still
        if mode == "online":
            reason = _failure(lambda: _mirror_rows("online", "", start, training))
            if not reason:
                return
        _mirror_rows("offline", reason, start, training)


def _mirror_study(mode: str, reason: str, start: Mapping[str, Any]) -> None:
    """The cells one after the other; those that a server does not take become local files."""
    signal.alarm(int(start["limit_s"]) + 5)
    folder = Path(start["folder"])
    with _alone(folder / "wandb" / ".lock"):
        if mode == "online":
            reason = _failure(lambda: _mirror_cells("online", folder, start))
            if not reason:
                return
        _mirror_cells("offline", folder, start)
        if reason:
            place = f"{shlex.quote(str(folder / 'wandb'))}/offline-run-*"
            say(f"W&B is not used online ({reason}); send the study's runs later with: wandb sync {place}")


def _failure(send: Callable[[], None]) -> str:
    """Why a server has not taken all that was sent; empty where it has."""
    try:
        send()
        return ""
    except Exception as error:
        _tear_down()
        return _short(error)


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


def _mirror_rows(mode: str, reason: str, start: Mapping[str, Any], training: _Training) -> None:
    """Mirror a run from its first epoch to its end. `reason`: why it is not sent, where it was meant to be."""
    import wandb

    config, folder = TrackingConfig(**start["config"]), Path(start["folder"])
    losses = _set_up(mode)
    shutil.rmtree(folder / "wandb", ignore_errors=True)  # an earlier start's; all of it is mirrored again
    make_dir(folder)
    run = wandb.init(
        project=config.project, entity=config.entity, id=start["run_id"], dir=str(folder), config=dict(start["params"])
    )
    if mode == "online" and not start["silent"]:
        say(f"W&B shows the run at {run.url}")
    if reason:
        place = shlex.quote(str(Path(run.dir).parent))
        say(f"W&B is not used online ({reason}); send the run later with: wandb sync {place}")
    rows = _new_rows(folder / "metrics.jsonl")
    for _ in training.announcements():
        _log(run, next(rows))
        losses.check()
    _log(run, next(rows))  # of a training that had ended before this began
    run.summary.update(training.end["summary"])
    run.finish(exit_code=training.end["exit_code"])
    losses.check()


def _mirror_cells(mode: str, folder: Path, start: Mapping[str, Any]) -> None:

    config, study = TrackingConfig(**start["config"]), start["study"]
    cells = {_cell_id(study, cell): cell for cell in start["cells"]}
    known = {done: _markers(folder, config, done, study) for done in (mode, config.mode)}
    missing = [name for name in cells if not any((place / f"{name}.json").exists() for place in known.values())]
    if not missing:
        return
    losses = _set_up(mode, **STUDY_SETTINGS)

    def mirror(name: str) -> str:
        url, place = _mirror_cell(config, folder, study, name, cells[name])
        losses.check()
        target = {"mode": mode, "entity": config.entity, "project": config.project, "group": study}
        make_dir(known[mode])
        write_json(known[mode] / f"{name}.json", target | {"folder": place})
        return url

    with ThreadPoolExecutor(SIDE_BY_SIDE if mode == "online" else 1) as pool:  # one that fails cancels those not begun
        urls = list(pool.map(mirror, missing))
    if mode == "online" and not start["silent"]:
        say(f"W&B shows the study at {urls[0]}/groups/{urllib.parse.quote(_named(study))}")


def _mirror_cell(config: TrackingConfig, folder: Path, study: str, name: str, cell: Mapping[str, Any]) -> tuple[str, str]:
    """Mirror one cell as run `name`; the URL of the project, empty if it has none, and the name of W&B's folder."""
    import wandb

    _remove_unfinished(folder / "wandb", name)
    run = wandb.init(
        project=config.project,
        entity=config.entity,
        group=_named(study),
        id=name,
        name=_named(f"{cell['variant']} seed {cell['seed']}" + (f" fold {cell['fold']}" if cell.get("fold") else "")),
        dir=str(folder),
        config={"variant": cell["variant"], "seed": cell["seed"], "cell": cell["hash"], **cell["config"]},
    )
    opened = run.project_url or "", Path(run.dir).parent.name
    _log(run, cell["rows"])
    run.summary.update(cell["metrics"] | ({"failure": cell["failure"]} if cell["failure"] else {}))
    run.finish(exit_code=1 if cell["failure"] else 0)
    wait_until_whole(Path(run.dir).parent / f"run-{name}.wandb", FLUSH_S)
    return opened


def _cell_id(study: str, cell: Mapping[str, Any]) -> str:
    """The run of a cell: one in each study that has the cell, since a run of W&B belongs to one group alone."""
    return f"{cell['hash']}-{digest([study, cell['variant']])[:8]}"


def _named(text: str) -> str:
    """A name that W&B's server takes whole; of a longer one the beginning, and a digest of all of it."""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 9]}-{digest(text)[:8]}"


def _markers(folder: Path, config: TrackingConfig, mode: str, study: str) -> Path:
    """The folder of files that say which cells are whole in this study's group of this project, on this server."""
    import wandb

    settings = wandb.setup().settings
    server = [settings.base_url, config.entity or settings.entity] if mode == "online" else [config.entity]
    return folder / "wandb" / "mirrored" / digest([mode, *server, config.project, study])[:12]


def _remove_unfinished(place: Path, name: str) -> None:
    """Remove what a mirror that was killed has left of a cell; a folder that a marker names was finished."""
    finished = {read_json(mark)["folder"] for mark in place.glob(f"mirrored/*/{name}.json")}
    for left in place.glob(f"*run-*-{name}"):
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


def _set_up(mode: Any, **settings: Any) -> _Losses:
    """Tell W&B the mode, and to leave out what it writes by default: command line, names of host and user, Git remote.

    Online, fail early where W&B would try for long. What W&B's warnings then tell of losses can be asked for.
    """
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
            finish_timeout_raises=True,
            stop_fn=_not_stopped,
            **settings,
        )
    )
    losses = _Losses()
    wandb.termsetup(wandb.setup().settings, losses)
    if mode == "online":
        _check_online()
    return losses


def _not_stopped() -> None:
    """What the Stop button of W&B's page does: it would end this process, of which the training would not notice anything.

    Whoever may write into the project there would else end what runs here.
    """
    say(f"the Stop button of W&B's page ends nothing here; `kill {os.getppid()}` lets the training save its state and end")


def _tear_down() -> None:
    """End W&B's service now; what is wrong with it has been told, and is not to be told again at exit."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def _check_online() -> None:
    """Fail early where W&B would try for long, and never ask a person for a key in the middle of a run."""
    import wandb

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
    if isinstance(error, ValidationError):  # of W&B's settings; its text would show the value, which may be a key
        return "; ".join(f"W&B's setting {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__
