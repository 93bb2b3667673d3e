"""The project's root, found upwards from where the user stands, as Git finds it; paths are said and shown from there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ConfigError

ROOT = Path()
DATA_KEYS = ("data.path", "data.train_path", "data.val_path", "data.test_path", "data.synonyms")
BACKBONE_KEY, PUBLISHED, TIMM = "model.backbone", "hf", "timm"
FILE_KEYS = (*DATA_KEYS, "cluster.token_path")
RUN_SAID = re.compile(r"\+*(model\.init_from|study\.(?:definitions\.[^.=]+\.)?sources\.[^.=]+)=(.*)", re.DOTALL)
"""An override whose value is a run to start from."""


def enter_root(*, needed: bool = True) -> Path:
    """Make the root of the user's project the current directory, and say so where it was not; where the user stands.

    Where a project is not needed one may stand anywhere.
    """
    try:
        stood = Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the folder that you stand in has been removed; cd to the clone of the project") from None
    root = find_root(stood) if needed else root_above(stood) or stood
    if root != stood:
        print(f"regatta: in {root}", file=sys.stderr, flush=True)
        os.chdir(root)
    return stood


def find_root(folder: Path) -> Path:
    """The innermost project that holds a folder; ConfigError where there is none."""
    root = root_above(folder)
    if root is None:
        raise ConfigError(
            f"{folder}: not a project (no dvc.yaml and conf/config.yaml here or above); cd to the clone of the project"
        )
    return root


def root_above(folder: Path) -> Path | None:
    """The innermost project that holds a folder; None where there is none."""
    return next((path for path in (folder, *folder.parents) if is_root(path)), None)


def is_root(folder: Path) -> bool:
    """Whether a folder is the root of a project."""
    return (folder / "dvc.yaml").is_file() and (folder / "conf" / "config.yaml").is_file()


def path_said(override: str, keys: Sequence[str]) -> tuple[str, str] | None:
    """The key and the path of an override that says one for a key; None for others, and where the key is set to null."""
    match = re.fullmatch(rf"(\+*(?:{'|'.join(map(re.escape, keys))}))=(.*)", override, re.DOTALL)
    path = match and match[2].strip().strip("'\"")
    return (match[1], path) if match and path and path != "null" else None


def backbone_said(override: str) -> tuple[str, str] | None:
    """The layout, or the name of one's own, and the path of an override such as model.backbone=hf:~/vit-small; None for any
    other."""
    said = path_said(override, [BACKBONE_KEY])
    if said is None or ":" not in said[1]:
        return None
    layout, _, path = said[1].partition(":")
    if layout == TIMM:
        raise ConfigError(
            f"{override}: timm needs torchvision beside it, and is not read here; many of its networks are published in the "
            f"layout of Hugging Face, too: say {BACKBONE_KEY}={PUBLISHED}:FOLDER, or build it in extensions.py"
        )
    if not path:
        what, word = ("folder", "FOLDER") if layout == PUBLISHED else ("file of its weights", "FILE")
        raise ConfigError(f"{override}: no {what} is said; say {BACKBONE_KEY}={layout}:{word}")
    return layout, path


def data_said(words: Sequence[str]) -> list[str]:
    """DATA among the words, which is any that is no override, as the override of its path."""
    named = [word for word in words if "=" not in word and (not word.startswith("~") or word.startswith("~/"))]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)}: one DATA at a time; quote a path with blanks")
    return [f"data.path={word}" if word in named else word for word in words]


def said_from_root(overrides: Sequence[str], stood: Path) -> list[str]:
    """Overrides that were said where the user stands, as they would be said in the root, the current directory."""
    return [_said_from_root(word, stood) for word in overrides]


def _said_from_root(override: str, stood: Path) -> str:
    run = RUN_SAID.fullmatch(override)
    if run and (word := run[2].strip().strip("'\"")) not in ("", "null"):
        return f"{override.partition('=')[0]}={_start_said(run[1], word, stood)}"
    if backbone := backbone_said(override):
        return f"{BACKBONE_KEY}={backbone[0]}:{path_from_root(backbone[1], stood)}"
    if (said := path_said(override, FILE_KEYS)) is None:
        return override
    (key, value), path = override.split("=", 1), path_from_root(said[1], stood)
    # In the quotes that it has, if any; one that is the same from everywhere stays in the user's words.
    return override if path.is_absolute() and said[1][0] in "~/" else f"{key}={value.replace(said[1], str(path))}"


def _start_said(key: str, word: str, stood: Path) -> str:
    """A finished run by its whole name, which a key says: by its folder, its name or the beginning of it."""
    from pipeline.artifacts import runs_root
    from pipeline.runs.weights import run_to_start_from

    if os.sep not in word:
        return run_to_start_from(word, key)
    path = Path(os.path.abspath(stood / Path(word).expanduser()))
    if path.parent != runs_root().absolute():
        raise ConfigError(
            f"{key} = {word}: no run of this project, which are in {runs_root()}/; a model from elsewhere becomes one "
            f"by `cp -r {word} {runs_root()}/NAME`"
        )
    return run_to_start_from(path.name, key, word)


def path_from_root(path: str, stood: Path) -> Path:
    """A path said where the user stands, relative to the root if it lies inside; links are not followed."""
    absolute = Path(os.path.abspath(stood / Path(path).expanduser()))
    return inside(absolute) or absolute


def inside(path: Path) -> Path | None:
    """A path relative to the project's root, links not followed; None where it lies outside."""
    absolute, root = Path(os.path.abspath(path)), Path.cwd()
    return absolute.relative_to(root) if absolute.is_relative_to(root) else None


def run_said(word: str, stood: Path) -> str:
    """The name of a run, which may be said as the path of its folder."""
    is_path = os.sep in word or word == "."
    return Path(os.path.abspath(stood / word)).name if is_path else word


def seen_from(stood: Path, path: Path) -> str:
    """A path of the project, given relative to the root, for a user who stands elsewhere."""
    return os.path.relpath(path, stood)
