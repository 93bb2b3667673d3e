"""A published network from the Hugging Face Hub, by its name and one commit: what is asked, fetched and checked.

The only part of the house that asks a network for anything, when it is told to. `huggingface_hub` fetches; nothing is executed,
and no file but those that `folder.opened` reads is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.artifacts import file_digest, held, make_dir, read_json, sync_file, write_json
from pipeline.backbones import folder
from pipeline.backbones.folder import CONFIG, INDEX, LAYOUT, PICKLED, SOURCE, WEIGHTS, Backbone
from pipeline.errors import ConfigError, RegattaError, StorageError
from pipeline.kinds.kind import BUILT_IN
from pipeline.kinds.pretrained import kind_of_layout, part_of, pretrained_of
from pipeline.wording import first_of

NAMED = re.compile(rf"{LAYOUT}:((?:[\w.-]+/)?[\w.-]+)(?:@(\S+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Offered:
    """What there is of a network at one commit."""

    name: str
    revision: str
    """The commit's hash."""
    licence: str | None
    """As its publisher states it."""
    sizes: Mapping[str, int]
    """Bytes of each of its files."""
    digests: Mapping[str, str] = field(repr=False)
    """SHA-256 of large files, of others Git's hash."""

    @property
    def weights(self) -> list[str]:
        """The files of its weights; of several none, since the index is read first. ConfigError where there are only others."""
        if WEIGHTS in self.sizes:
            return [WEIGHTS]
        if INDEX in self.sizes:
            return []
        pickled = sorted(name for name in self.sizes if name.endswith(PICKLED) and "/" not in name)
        why = f"only {pickled[0]}, which is not read, since such files can run code" if pickled else "nor an index of several"
        raise self.refused(f"it has no {WEIGHTS}, {why}; choose a network, or a revision of it, with safetensors")

    def refused(self, why: str) -> ConfigError:
        return ConfigError(f"{LAYOUT}:{self.name}@{self.revision[:10]}: {why}")


def named(word: str) -> tuple[str, str | None]:
    """Name and revision of hf:NAME@REVISION; ConfigError for anything else."""
    found = NAMED.fullmatch(word)
    if found is None:
        raise ConfigError(f"{word!r}: say {LAYOUT}:NAME@REVISION, such as {LAYOUT}:facebook/dinov2-small@COMMIT")
    return found[1], found[2]


def offered(name: str, revision: str | None) -> Offered:
    """What the Hub says of a network; ConfigError where there is none such, RegattaError where it can't be asked."""
    with _told(name, revision):
        found = _library().HfApi().model_info(name, revision=revision, files_metadata=True)
    files = found.siblings or []
    return Offered(
        name,
        str(found.sha),
        _licence(found),
        {file.rfilename: int(file.size or 0) for file in files},
        {file.rfilename: file.lfs.sha256 if file.lfs else str(file.blob_id) for file in files},
    )


def fetched(found: Offered, place: Path, agreed: Callable[[str, int], bool]) -> Backbone | None:
    """Its files in a folder, which is there whole or not at all; None where it is not agreed to.

    agreed: asked with the kind of its samples and the bytes to come, once the small files have shown that it can be used. What
    was fetched before an interruption stays beside the folder, and the same call goes on from there.
    """
    work = place.with_name(f".{place.name}.unfinished")
    make_dir(place.parent)
    with held(place.with_name(f".{place.name}.lock")):
        if there_already(found.name, found.revision, place):
            return folder.opened(place, read_json(place / SOURCE)["kind"])
        weights = found.weights
        _check_begun(work, found)
        try:
            return _fetched(found, work, place, weights, agreed)
        except ConfigError:  # what can't be used is not kept
            shutil.rmtree(work, ignore_errors=True)
            raise


def _fetched(
    found: Offered, work: Path, place: Path, weights: Sequence[str], agreed: Callable[[str, int], bool]
) -> Backbone | None:
    _fetch(found, [CONFIG], work)
    kind = _kind(found, work)
    small = [*part_of(kind).FILES, *([] if weights else [INDEX])]
    if lacking := [name for name in small if name not in found.sizes]:
        raise found.refused(f"it has no {first_of(lacking, 3)}, which is needed beside {CONFIG}; choose another network")
    _fetch(found, small, work)
    with _said_of(found, work):
        folder.check_described(work, kind)
    weights = weights or _shards(found, work)
    if not agreed(kind, sum(found.sizes[name] for name in weights)):
        return None
    _fetch(found, weights, work)
    with _said_of(found, work):
        whole = folder.opened(work, kind)
    _publish(found, whole, place)
    return folder.opened(place, kind)


def there_already(name: str, revision: str, place: Path) -> bool:
    """Whether an earlier call has fetched a commit: then no network is needed. StorageError where something else is there."""
    if not place.exists():
        return False
    source = read_json(place / SOURCE) if (place / SOURCE).exists() else {}
    if (source.get("name"), source.get("revision")) == (name, revision):
        return True
    what = f"{source['name']}@{source['revision'][:10]}" if source else "something else"
    raise StorageError(f"{place}: holds {what}; choose another folder with --into")


def _check_begun(work: Path, found: Offered) -> None:
    """Clear what was begun of another commit, and name this one."""
    about = {"name": found.name, "revision": found.revision}
    if (work / SOURCE).exists() and read_json(work / SOURCE) == about:
        return
    shutil.rmtree(work, ignore_errors=True)
    make_dir(work)
    write_json(work / SOURCE, about)


def _fetch(found: Offered, names: Sequence[str], work: Path) -> None:
    """Files in a folder, whole and as the commit has them; StorageError where one is another."""
    for name in names:
        if name not in found.sizes:
            raise found.refused(f"it has no {name}; choose another network")
        with _told(found.name, found.revision, work):
            _get(found, name, work / name)
        if not _is(work / name, found.digests[name]):
            (work / name).unlink()
            raise StorageError(f"{found.name}: {name} came otherwise than its commit has it; say the same command again")


def _get(found: Offered, name: str, file: Path) -> None:
    """One file, from where an earlier call was cut on: `hf_hub_download` begins anew in each process."""
    huggingface_hub = _library()
    from huggingface_hub.file_download import http_get

    url = huggingface_hub.hf_hub_url(found.name, name, revision=found.revision, endpoint=huggingface_hub.constants.ENDPOINT)
    about, headers = huggingface_hub.get_hf_file_metadata(url), huggingface_hub.utils.build_hf_headers()
    if urlsplit(about.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # a store of files is told no token
    with file.open("ab") as out:
        if out.tell() < found.sizes[name]:
            http_get(about.location, out, resume_size=out.tell(), headers=headers, expected_size=found.sizes[name])


def _is(file: Path, digest: str) -> bool:
    if len(digest) == 64:
        return file_digest(file) == digest
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == digest


def _kind(found: Offered, work: Path) -> str:
    with _said_of(found, work):
        layout = folder.json_of(work, CONFIG).get("model_type")
    kind = kind_of_layout(str(layout))
    if kind is None:
        parts = [part for each in BUILT_IN if (part := pretrained_of(each))]
        taken = ", ".join(name for part in parts for name in part.LAYOUTS)
        raise found.refused(f"{CONFIG}: model_type = {layout!r}; these are taken: {taken}")
    return kind


def _shards(found: Offered, work: Path) -> list[str]:
    with _said_of(found, work):
        return [*folder.shards_of(work)]


def _publish(found: Offered, whole: Backbone, place: Path) -> None:
    """The record beside the files, and the folder in its place."""
    about = {"name": found.name, "revision": found.revision, "licence": found.licence, "kind": whole.kind}
    for name in whole.files:
        sync_file(whole.path / name)
    write_json(whole.path / SOURCE, about | {"files": dict(whole.files)})
    whole.path.rename(place)


def _licence(info: Any) -> str | None:
    """As the card says it, or the tags of the page."""
    card = info.card_data.to_dict() if info.card_data else {}
    said = card.get("license") or next((tag.partition(":")[2] for tag in info.tags or [] if tag.startswith("license:")), None)
    words = [*said] if isinstance(said, list) else [said] if said else []
    more = [str(card[key]) for key in ("license_name", "license_link") if card.get(key)]
    return " ".join(map(str, [*words, *more])) or None


@contextmanager
def _said_of(found: Offered, work: Path) -> Iterator[None]:
    """What is refused of the folder under the name that the user knows."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"{LAYOUT}:{work}", f"{LAYOUT}:{found.name}@{found.revision[:10]}")) from None


@contextmanager
def _told(name: str, revision: str | None, work: Path | None = None) -> Iterator[None]:
    """What the Hub refuses, or that it can't be reached, in words. work: where files have begun to come."""
    try:
        yield
    except Exception as error:  # of the library, and of the one below it, which is another one by its version
        kinds = {kind.__name__ for kind in type(error).__mro__}
        why = " ".join(str(error).split())[:200]
        if "GatedRepoError" in kinds:
            raise ConfigError(
                f"{LAYOUT}:{name}: its publisher asks to agree to terms on its page first; then `hf auth login`"
            ) from None
        if "RepositoryNotFoundError" in kinds:
            raise ConfigError(f"{LAYOUT}:{name}: there is none of this name, or it is private (then `hf auth login`)") from None
        if "RevisionNotFoundError" in kinds:
            raise ConfigError(
                f"{LAYOUT}:{name}@{revision}: there is no such revision; leave it out to be told the newest"
            ) from None
        if "HFValidationError" in kinds:
            raise ConfigError(f"{LAYOUT}:{name}: no name of a network ({why})") from None
        if isinstance(error, OSError) and error.errno is not None:
            raise StorageError(f"{LAYOUT}:{name}: {why}") from None
        begun = work is not None and any(one.name != SOURCE and one.stat().st_size for one in work.iterdir())
        again = "the same command goes on from here" if begun else "say the same command again"
        raise RegattaError(
            f"{LAYOUT}:{name}: can't be fetched ({type(error).__name__}: {why}); where there is a network {again}. "
            "Else take the folder with `git clone` or `hf download` elsewhere, and bring it along"
        ) from None


def _library() -> Any:
    """What asks the Hub that HF_ENDPOINT names. Its bars are for a terminal."""
    folder.check_installed()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when it is imported, as the next one
    if not sys.stderr.isatty():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import huggingface_hub
    from huggingface_hub import constants  # noqa: F401 (which it has from then on)

    return huggingface_hub
