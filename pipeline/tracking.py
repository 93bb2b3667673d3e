"""W&B as the mirror of a run's records, in a process of its own; the only importer of wandb.

The mirror reads `metrics.jsonl` whenever the training has appended to it, so the training neither waits for W&B nor
can be changed or ended by it: no error, slow network or crash of W&B's own service reaches it. Offline unless told
otherwise: the mirror is then a file below the run's folder, sent later with `wandb sync`. A run that is started again is
mirrored from its first epoch: epoch e is always step e, so what was sent before is sent again unchanged.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.schema.tracking import TrackingConfig

if TYPE_CHECKING:
    import wandb

REACH_S = 5.0
"""How long any answer of the server is waited for; W&B's own client tries for 90 s."""
INIT_S = 20.0
"""How long a server that answers may take to open a run."""
FINISH_S = 30.0
"""How long the end of a run waits for what has not been sent; the local file has it in any case."""
LIMIT_S = REACH_S + INIT_S + FINISH_S + 5.0
"""After this long the mirror is ended by force."""


class Tracker:
    """Holds the mirror of one run; without a process it mirrors nothing."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process

    def log(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Mirror an epoch whose `rows` are in `metrics.jsonl` by now, where the mirror reads them; never waits."""
        if self._process and self._process.stdin:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # busy: it will see the file; dead: finish tells
                os.write(self._process.stdin.fileno(), b"\n")

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Close the mirror with the run's summary: within a second, or within `LIMIT_S` where W&B does not answer."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(json.dumps({"summary": dict(summary), "exit_code": exit_code}).encode(), timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if process.returncode:
            _say(f"W&B's part of the run ended early (exit code {process.returncode}); the run's own records are whole")


def open_tracker(config: TrackingConfig, run_id: str, folder: Path, params: Mapping[str, Any]) -> Tracker:
    """Start mirroring `folder`/metrics.jsonl as run `run_id`, whose configuration is `params`, to `folder`/wandb."""
    if config.mode == "disabled":
        return Tracker()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"WANDB_ERROR_REPORTING": "false"},
        bufsize=0,
        start_new_session=True,  # Ctrl-C is for the training, which then finishes the mirror
    )
    start = {"config": config.model_dump(), "run_id": run_id, "folder": str(folder), "params": dict(params)}
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(start).encode() + b"\n")
    os.set_blocking(process.stdin.fileno(), False)
    return Tracker(process)


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
    """The mirror's process: a line of JSON on standard input starts it, empty lines announce rows, JSON or the end ends it."""
    start = json.loads(sys.stdin.readline())
    folder = Path(start["folder"])
    try:
        run = _started(TrackingConfig(**start["config"]), start["run_id"], folder, start["params"])
        rows = _new_rows(folder / "metrics.jsonl")
        while (line := sys.stdin.readline()) == "\n":
            _log(run, next(rows))
        signal.alarm(int(FINISH_S) + 5)  # a training that was killed can't end a mirror that hangs
        _log(run, next(rows))
        end = json.loads(line or '{"summary": {}, "exit_code": 1}')
        run.summary.update(end["summary"])
        run.finish(exit_code=end["exit_code"])
    except Exception as error:  # W&B's own errors share no base class with those of its service
        _say(f"W&B mirrors no further ({_short(error)}); the run's own records are whole")
        _tear_down()


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
            _say(f"W&B shows the run at {run.url}")
            return run
        except Exception as error:
            _tear_down()
            reason = _short(error)
    run = _new_run("offline", config, run_id, folder, params)
    if config.mode == "online":
        _say(f"W&B is not used online ({reason}); send the run later with: wandb sync {Path(run.dir).parent}")
    return run


def _new_run(mode: str, config: TrackingConfig, run_id: str, folder: Path, params: Mapping[str, Any]) -> wandb.Run:
    shutil.rmtree(folder / "wandb", ignore_errors=True)  # an earlier start's; all of it is mirrored again
    folder.mkdir(parents=True, exist_ok=True)
    return _wandb(mode).init(  # type: ignore[no-any-return]
        project=config.project, entity=config.entity, id=run_id, dir=str(folder), config=dict(params)
    )


def _wandb(mode: Any) -> Any:
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


def _say(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    _main()
