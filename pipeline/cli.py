"""`regatta COMMAND`. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.commands.root import data_said, enter_root, path_from_root, run_said, said_from_root
from pipeline.commands.signals import stopping
from pipeline.errors import ENDS
from pipeline.processes import STARTER, UNREAD, die_with_parent, full_disk_told, memory_limit_told, quiet_when_unread
from pipeline.train.stopping import STOPS

TAKE_OVERRIDES = ("run", "study", "verify", "inspect")
ANYWHERE = ("predict", "serve", "export")
"""Commands that need a trained network alone, and no project."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. What went wrong is said in words, without a traceback."""
    with quiet_when_unread():
        return run_command(parsed(sys.argv[1:] if arguments is None else arguments))


def run_command(options: argparse.Namespace) -> int:
    """Run a command in the project's root, wherever in the project the user stands, or ANYWHERE; its exit code."""
    if starter := os.environ.get(STARTER):  # of a run in a worktree
        die_with_parent(starter)
    try:
        with memory_limit_told(), full_disk_told(), stopping():
            options.stood = enter_root(needed=options.command not in ANYWHERE)
            keep_private(Path.cwd() / ".dvc" / "tmp" / "site")
            said_in_root(options)
            return dispatch(options)
    except ENDS as error:
        if error.exit_code != UNREAD:
            print(f"regatta: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        print("regatta: interrupted; the same command goes on from here", file=sys.stderr, flush=True)
        return 130


def program() -> NoReturn:
    """Be the command. Once it has its exit code nothing is left that a signal could stop."""
    code = main()
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def dispatch(options: argparse.Namespace) -> int:
    match options.command:
        case "run":
            from pipeline.commands.run import run

            if options.isolated:
                from pipeline.commands.isolated import isolated

                return isolated(sent_on(options))
            return run(options)
        case "study":
            from pipeline.commands.beside import beside
            from pipeline.commands.study import study

            return beside(options) if options.beside else study(options)
        case "verify":
            from pipeline.commands.verify import verify

            return verify(options)
        case "inspect":
            from pipeline.commands.inspect import inspect

            return inspect(options)
        case "replay":
            from pipeline.commands.replay import replay

            return replay(options)
        case "export":
            from pipeline.commands.export import export

            return export(options)
        case "predict":
            from pipeline.commands.predict import predict

            return predict(options)
        case "serve":
            from pipeline.commands.serve import serve

            return serve(options)
        case "compose":
            from pipeline.commands.compose import compose

            return compose(options)
        case "runs":
            from pipeline.commands.runs import runs

            return runs(options)
        case "restore":
            from pipeline.commands.restore import restore

            return restore(options)
        case "backbone":
            from pipeline.commands.backbone import backbone

            return backbone(options)
        case _:
            from pipeline.commands.data import data

            return data(options)


def sent_on(options: argparse.Namespace) -> list[str]:
    """The words of a `run` that is run elsewhere."""
    flags = ("reset", "dry_run", "smoke", "fresh", "accept_code", "force")
    return [*options.overrides, *(f"--{name.replace('_', '-')}" for name in flags if getattr(options, name))]


def keep_private(folder: Path) -> None:
    """Give DVC a place of ours for its hashes of files, which only we can enter, unless somebody named another.

    They are pickles, and DVC's own place is below /var/tmp, in a folder that every user of the machine may write to.
    """
    named = os.environ.setdefault("DVC_SITE_CACHE_DIR", str(folder))
    if named == str(folder) and os.access(folder.parents[1], os.W_OK):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)


def said_in_root(options: argparse.Namespace) -> None:
    """Turn every path on the command line, said where the user stands, into one from the root, the current directory."""
    if options.command == "inspect":
        options.overrides = data_said(options.overrides)
    if options.command in TAKE_OVERRIDES:
        options.overrides = said_from_root(options.overrides, options.stood)
    if options.command in ("replay", "restore"):
        options.run = run_said(options.run, options.stood)
    if options.command == "backbone" and options.into:
        options.into = str(path_from_root(options.into, options.stood))
    if options.command == "data" and options.action == "link":
        options.path = str(path_from_root(options.path, options.stood))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; overrides may stand before and after options."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and (options.command not in TAKE_OVERRIDES or any(word.startswith("-") for word in rest)):
        parser.error(f"unknown argument: {' '.join(rest)}; see `regatta {options.command} --help`")
    if rest:
        options.overrides += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "regatta", description="From labelled data to a trained deep network and the evidence for it.",
        epilog="Works in every folder of the project, as git does (predict, serve and export anywhere): paths "
        "are taken from where you stand, and the last line, `The report is ...`, is one from there; other paths are those of "
        "the project, which is named first.",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="set overrides, compose params.yaml, run every stage that is not up to date"))
    _add_study(commands.add_parser("study", help="compare variants over seeds; run only what has no result yet"))
    one = commands.add_parser("verify", help="prove on your own data that several workers train what one worker trains")
    one.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="such as cluster.workers=2; nothing of it is kept")
    one = commands.add_parser(
        "inspect", help="what would be prepared of data: classes, splits, problems, a sheet; change nothing"
    )
    one.add_argument(
        "overrides",
        nargs="*",
        metavar="DATA or OVERRIDE",
        help="a path, and overrides as for `regatta run`; nothing of it is kept",
    )
    one.add_argument("--sheet", metavar="FILE", help="where the sheet of samples goes (HTML); else below runs/inspect/")
    one = commands.add_parser("replay", help="take one training step of a run again: its samples, losses and gradients")
    one.add_argument("run", help="as `regatta runs` shows it or its folder; the first characters will do where they are unique")
    one.add_argument("--epoch", type=int, help="from 1 on")
    one.add_argument("--step", type=int, required=True, help="from 1 on, within --epoch; without it over all epochs")
    _add_export(commands.add_parser("export", help="a trained network as one file, ONNX or torch.export"))
    _add_predict(commands.add_parser("predict", help="what a trained network says of files, folders and tables"))
    _add_serve(commands.add_parser("serve", help="the same answers over HTTP, and a page to drop a file on"))
    one = commands.add_parser("compose", help="compose params.yaml from conf/ and check it; run nothing")
    _add_force(one)
    commands.add_parser("runs", help="what was trained here, with results")
    one = commands.add_parser("restore", help="bring back the configuration and the artifacts of a run")
    one.add_argument("run", help="as `regatta runs` shows it or its folder; the first characters will do where they are unique")
    _add_force(one)
    one = commands.add_parser("data", help="make data known to the project")
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    link = actions.add_parser("link", help="make the link data/NAME to data elsewhere on this machine")
    link.add_argument("name")
    link.add_argument("path")
    add = actions.add_parser("add", help="hand data/NAME to DVC, which then keeps, pushes and pulls it")
    add.add_argument("name")
    one = commands.add_parser("backbone", help="fetch a published network")
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    get = actions.add_parser(
        "get", help="one commit of it from the Hugging Face Hub: its safetensors and what is needed beside"
    )
    get.add_argument("network", metavar="hf:NAME@REVISION", help="a commit's hash, a branch or a tag, which becomes a hash")
    get.add_argument("--into", metavar="FOLDER", help="else data/NAME")
    get.add_argument("--yes", action="store_true", help="fetch it without asking, once licence and size are shown")
    return parser


def _add_run(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "overrides", nargs="*", metavar="OVERRIDE",
        help="GROUP=FILE (data=folder), KEY=VALUE (model.dropout=0.5, model.widths=[128,64]) or ~KEY (forget an override); "
        "kept in conf/overrides.yaml until --reset",
    )  # fmt: skip
    one.add_argument("--reset", action="store_true", help="forget all earlier overrides first")
    one.add_argument(
        "--dry-run", action="store_true", help="say what would run and why, sizes, time and memory; change nothing"
    )
    one.add_argument(
        "--smoke", action="store_true", help="every stage on a handful of samples in runs/smoke/; change nothing else"
    )
    one.add_argument("--isolated", action="store_true", help="in a worktree of its own, beside other runs of this clone")
    one.add_argument("--fresh", action="store_true", help="train from the start, even where a run could go on or is finished")
    one.add_argument("--accept-code", action="store_true", help="let an unfinished run go on although the code has changed")
    _add_force(one)


def _add_study(one: argparse.ArgumentParser) -> None:
    one.add_argument("name", nargs="?", help="a file of conf/study/; without a name: which studies there are")
    one.add_argument(
        "overrides", nargs="*", metavar="OVERRIDE",
        help="as for `regatta run`; study.seeds=10 is the number of this study's seeds, likewise study.margin, study.test, ...",
    )  # fmt: skip
    one.add_argument("--dry-run", action="store_true", help="say which runs there are, memory and time; change nothing")
    one.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="PROJECT",
        help="run nothing: show what it has found here and in that project in one matrix; may be said several times",
    )
    one.add_argument("--accept-code", action="store_true", help="take results that older code computed; they are marked")
    _add_force(one)


def _add_export(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "model", nargs="?", default="artifacts/train", metavar="MODEL",
        help="a folder with model.json and best.safetensors; artifacts/train where none is named",
    )  # fmt: skip
    one.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="onnx needs the extra [export]")
    one.add_argument("--out", metavar="FOLDER", help="else exports/RUN/FORMAT")
    one.add_argument(
        "--try-on", metavar="PATH",
        help="files of the trained kind to try it on, where the data that it was trained on are not there",
    )  # fmt: skip
    one.add_argument("--no-samples", action="store_true", help="no samples of your data go along, to check it elsewhere")


def _add_predict(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", metavar="MODEL", help="a folder with model.json and best.safetensors, such as artifacts/train")
    one.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a file, a folder or a table of the trained kind of data, or - for stdin"
    )
    one.add_argument("--out", metavar="FILE", help=".csv, .jsonl or .parquet; else CSV in the terminal")
    one.add_argument("--top", type=int, default=3, metavar="N", help="so many classes are named with their probabilities (3)")
    one.add_argument(
        "--calibrated", action="store_true", help="probabilities at the temperature that was fitted on validation samples"
    )


def _add_serve(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", metavar="MODEL", help="a folder with model.json and best.safetensors, such as artifacts/train")
    one.add_argument("--host", default="127.0.0.1", help="127.0.0.1: this machine alone; any other one needs a token")
    one.add_argument("--port", type=int, default=8000, help="0: any that is free (8000)")
    one.add_argument("--name", action="append", default=[], help="a name that the server is reached by, beside its addresses")
    one.add_argument("--token-file", metavar="FILE", help="what each request has to know; or the variable REGATTA_TOKEN")
    one.add_argument("--max-mb", type=int, default=32, metavar="N", help="so many MiB of a request are read (32)")
    one.add_argument("--max-items", type=int, default=256, metavar="N", help="so many samples a request may have (256)")
    one.add_argument("--queue", type=int, default=64, metavar="N", help="so many requests may be under way (64)")


def _add_force(one: argparse.ArgumentParser) -> None:
    one.add_argument("--force", action="store_true", help="overwrite a params.yaml that was changed by hand")


if __name__ == "__main__":
    program()
