"""Who may ask: the machine itself, or whoever has the token; no page of another place through somebody's browser.

A browser sends a page's requests to any address, loopback too, and a name that its owner turns to 127.0.0.1 makes two places
one to it (DNS rebinding). So `Host` has to be an address or a name that was told, and `Origin`, where there is one, that host.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import shlex
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import ConfigError
from pipeline.prediction.serving.refused import RefusedError

VARIABLE = "REGATTA_TOKEN"
SHORTEST = 16
MAKE = "(umask 077; openssl rand -hex 32 > ~/.regatta-token)"


@dataclass(frozen=True, repr=False)
class Guard:
    """token: None where only this machine can reach the server. names: by which it is reached, beside its addresses."""

    token: str | None
    names: frozenset[str]

    def check_place(self, headers: Mapping[str, str]) -> None:
        """RefusedError where a request was not meant for this server, or comes from a page of another one."""
        host, origin = headers.get("Host", ""), headers.get("Origin")
        name = _name_of(host)
        if not (_is_address(name) or name in self.names):
            raise RefusedError(
                "Host",
                f"{host!r} is no name of this server; say --name {name or 'NAME'} if it is one",
                host,
                ["an address", *sorted(self.names)],
                status=403,
            )
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise RefusedError("Origin", "pages of other places may not ask", origin, [f"http://{host}"], status=403)

    def check_token(self, headers: Mapping[str, str]) -> None:
        """RefusedError where a token is needed and not there; how much of a wrong one is right takes no time to tell."""
        if self.token is None:
            return
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token.encode())
        if not (right and scheme.lower() == "bearer"):
            raise RefusedError(
                "Authorization",
                "`Bearer` and the server's token are needed",
                status=401,
                headers={"WWW-Authenticate": "Bearer"},
            )


def guard_of(host: str, names: list[str], token_file: Path | None, environment: MutableMapping[str, str], model: str) -> Guard:
    """The guard of a server that listens on a host; ConfigError where others could reach it and there is no token.

    model: as it was named, for the command to say instead.
    """
    token = _token(token_file, environment)
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: other machines could ask, so a token is needed: {MAKE}; "
            f"regatta serve {shlex.quote(model)} --host {host} --token-file ~/.regatta-token"
        )
    return Guard(token, frozenset({"localhost", *(name.lower() for name in names)}))


def is_loopback(host: str) -> bool:
    """Whether this machine alone can reach it."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _token(file: Path | None, environment: MutableMapping[str, str]) -> str | None:
    """Neither kept in the environment, where processes that are started would have it, nor ever shown."""
    given = environment.pop(VARIABLE, None)
    if file is not None:
        given = _read(file)
    place = VARIABLE if file is None else f"--token-file {file}"
    if given is not None and not (len(given) >= SHORTEST and given.isascii() and given.isprintable() and " " not in given):
        raise ConfigError(f"{place}: a token has {SHORTEST} characters or more, without blanks; make one: {MAKE}")
    return given


def _read(file: Path) -> str:
    try:
        if os.name == "posix" and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"--token-file {file}: other users may read it; say chmod 600 {file}")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no text"
        raise ConfigError(f"--token-file {file}: can't be read ({said}); make one: {MAKE}") from None


def _name_of(host: str) -> str:
    """Without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
