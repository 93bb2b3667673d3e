"""Builds the image and runs it, alone and as the cluster of compose.yaml, on a machine without a Docker engine.

    python docker/rehearse.py                    everything in a temporary folder, which is removed
    python docker/rehearse.py --keep FOLDER      the base, the image and what was written stay there; the base is used again
    ... --keep FOLDER --reuse                    so is the image

It needs root and Debian's buildah, debootstrap and iproute2. The base is made by debootstrap: Debian with Debian's own
Python, under the name that the Dockerfile asks for. A container is a chroot in namespaces of its own (mounts, processes,
network, host name), set up from the image's configuration and from what compose.yaml says: user, read-only root, tmpfs,
shared memory, secrets, volume, command, health. What is limited by cgroups (memory, cores) is not tried.

What differs from machine to machine comes from the environment, as for pip: PIP_CERT (a bundle of certificates) and
PIP_FIND_LINKS (a folder with a CPU build of torch).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE, DOCKERFILE = ROOT / "docker" / "compose.yaml", ROOT / "docker" / "Dockerfile"
TOOLS = ("buildah", "debootstrap", "ip", "unshare", "nsenter")
NAME = "regatta:cpu"
UID = 1234
"""Not the Dockerfile's default, so that the argument is seen to work."""
SUBNET = "10.89.0"
WORKERS = 2
LIMIT_S = 900.0
CAPABILITIES = 64
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38

PROMISES = f"""
test "$(id -u):$(id -g)" = {UID}:{UID} || {{ echo "user $(id)"; exit 1; }}
grep -q '^CapEff:\\s*0*$' /proc/self/status && grep -q '^CapBnd:\\s*0*$' /proc/self/status || {{ echo capabilities; exit 1; }}
grep -q '^NoNewPrivs:\\s*1$' /proc/self/status || {{ echo new privileges; exit 1; }}
for folder in / /app /app/pipeline /venv /usr/local/bin /etc /var/tmp; do
  if touch $folder/.try 2> /dev/null; then echo "$folder can be written"; exit 1; fi
done
for tool in cc gcc g++ make curl wget; do
  if command -v $tool > /dev/null; then echo "$tool is in the image"; exit 1; fi
done
if find / -xdev '(' -name .git -o -name auth_token ')' 2> /dev/null | grep .; then exit 1; fi
case "$(tr '\\0' ' ' < /proc/1/cmdline)" in *tini*) ;; *) echo "process 1 is no init"; exit 1 ;; esac
git --version > /dev/null
python -c 'import torch; assert torch.version.cuda is None, torch.version.cuda'
"""
MOUNTED = """
set -e
regatta run --dry-run
test -z "$(git status --porcelain)"
python -c 'from pipeline.runs.facts import commit; print(commit())'
cd / && python -c 'import pipeline; print(pipeline.__file__)'
"""
ON_NODES = """
import os, socket, ray
ray.init(address="auto", logging_level="ERROR")
where = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(lambda: (socket.gethostname(), os.getuid(), os.getcwd()))
print(sorted(set(ray.get([where.remote() for _ in range(40)]))))
"""
STRANGER = """
import ray
from ray._raylet import GcsClient
print(len(GcsClient(address="head:6379").get_all_node_info()))
"""
DASHBOARD = """
import socket
try:
    socket.create_connection(("head", 8265), timeout=3).close()
except ConnectionRefusedError:
    print("refused")
"""


def main() -> int:
    """Build, run, say what was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a folder for everything; without it a temporary one that is removed")
    parser.add_argument("--reuse", action="store_true", help="try the image that the folder has, instead of building it")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        become(json.loads(options.inside))
    if lacking := missing():
        print(f"docker/rehearse.py: {lacking}", file=sys.stderr)
        return 2
    with folder_for(options.keep) as folder:
        store = ("buildah", "--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
        if not options.reuse:
            build(store, folder)
        image = described(store)
        with image.mounted() as root:
            alone(image, root, folder)
            mounted_clone(image, root, folder)
            cluster(image, root, folder)
    print("docker/rehearse.py: everything holds", flush=True)
    return 0


def missing() -> str | None:
    """What this machine lacks, in one line."""
    tools = [name for name in TOOLS if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "needs root"
    return f"needs {', '.join(tools)} (Debian: apt-get install buildah debootstrap iproute2)" if tools else None


@contextlib.contextmanager
def folder_for(kept: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that is removed."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="regatta-image-") as name:
        yield Path(name)


def told(what: str, started: float | None = None) -> None:
    """One line per thing seen."""
    print(f"docker/rehearse.py: {what}" + (f" ({time.monotonic() - started:.0f} s)" if started is not None else ""), flush=True)


def call(*words: str | Path, **options: Any) -> str:
    """Run a program; its output, or an error with it."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(
            f"docker/rehearse.py: {shlex.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return str(done.stdout).strip()


def expect(condition: bool, seen: Any) -> None:
    """End with what was seen instead."""
    if not condition:
        raise SystemExit(f"docker/rehearse.py: not as expected: {seen}")


# The image


@dataclass(frozen=True)
class Image:
    """A name in a store of buildah's."""

    store: tuple[str, ...]
    name: str
    config: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """A container's file system made of it."""
        container = call(*self.store, "from", "--pull-never", self.name)
        try:
            yield Path(call(*self.store, "mount", container))
        finally:
            call(*self.store, "umount", container)
            call(*self.store, "rm", container)


def build(store: tuple[str, ...], folder: Path) -> None:
    """The image of the target cpu, on a base that is made here unless the folder has it."""
    base = base_name()
    if subprocess.run([*store, "inspect", "--type", "image", base], capture_output=True, check=False).returncode:
        started = time.monotonic()
        make_base(store, base, folder / "base")
        told(f"base {base} made of Debian's packages", started)
    started = time.monotonic()
    words: list[str] = ["bud", "--isolation", "chroot", "--pull-never", "--layers=false", "--target", "cpu", "-t", NAME]
    words += ["-f", str(DOCKERFILE), "--build-arg", f"UID={UID}"]
    if certificates := os.environ.get("PIP_CERT"):
        words += ["-v", f"{certificates}:/build/certificates:ro", "--build-arg", "PIP_CERT=/build/certificates"]
    if wheels := os.environ.get("PIP_FIND_LINKS"):
        words += ["-v", f"{wheels}:/build/wheels:ro", "--build-arg", "PIP_FIND_LINKS=/build/wheels"]
        words += ["--build-arg", "TORCH_INDEX="]
    with (folder / "build.log").open("w") as log:
        code = subprocess.run([*store, *words, str(ROOT)], stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise SystemExit(f"docker/rehearse.py: the build failed:\n{(folder / 'build.log').read_text()[-4000:]}")
    with Image(store, NAME).mounted() as root:
        num_bytes = int(call("du", "-sxB1", root).split()[0])
    told(f"image built: {num_bytes / 1e9:.2f} GB", started)


def described(store: tuple[str, ...]) -> Image:
    """The built image with its configuration, which knows nothing of how pip was told to find packages."""
    inspected = json.loads(call(*store, "inspect", "--type", "image", NAME))
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "/build/"):
        expect(name not in json.dumps(inspected), f"the image knows {name}")
    return Image(store, NAME, inspected["OCIv1"]["config"])


def base_name() -> str:
    """What the Dockerfile's first FROM asks for."""
    tag = re.search(r"^ARG PYTHON=(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    if not tag:
        raise SystemExit("docker/rehearse.py: no ARG PYTHON in the Dockerfile")
    return f"python:{tag[1]}"


def make_base(store: Sequence[str], name: str, folder: Path) -> None:
    """Debian with its own Python where the official image has it, committed under the official name."""
    release = name.rpartition("-")[2]
    shutil.rmtree(folder, ignore_errors=True)
    call("debootstrap", "--variant=minbase", "--include=ca-certificates,python3-pip,python3-venv", release, folder)
    for tool in ("python", "python3"):
        (folder / "usr/local/bin" / tool).symlink_to("/usr/bin/python3")
    for left in folder.glob("var/cache/apt/archives/*.deb"):
        left.unlink()
    container = call(*store, "from", "scratch")
    call(*store, "add", container, folder, "/")
    call(*store, "config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    call(*store, "commit", "--rm", container, name)
    shutil.rmtree(folder)


# Containers


@dataclass(frozen=True)
class Service:
    """What a container is told beside the image's own configuration."""

    name: str
    command: list[str]
    environment: dict[str, str]
    tmpfs: list[str]
    shm: str
    secrets: dict[str, str]
    volumes: dict[str, str]
    read_only: bool
    health: list[str]


@dataclass
class Container:
    """A running one."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    user: str

    @property
    def init(self) -> int:
        """Its first process, as this machine numbers it, once it has become the user and so is in the image."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")

        def first() -> int | None:
            with contextlib.suppress(OSError):  # it has ended
                for found in children.read_text().split():
                    if f"\nUid:\t{self.user}\t" in Path(f"/proc/{found}/status").read_text():
                        return int(found)
            return None

        return int(until(first, 60, f"{self.name} has not begun"))

    def ended(self, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """Its exit code and what it said."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"docker/rehearse.py: {self.name} did not end within {limit_s:.0f} s\n{self.said()}") from None
        return code, self.said()

    def said(self) -> str:
        """What it said so far."""
        return self.log.read_text(errors="replace")

    def stop(self, grace_s: float = 60.0) -> float:
        """SIGTERM to its first process, as `docker stop` does; how long it took to end."""
        started = time.monotonic()
        if self.process.poll() is None:
            os.kill(self.init, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        self.process.kill()
        self.process.wait()
        return time.monotonic() - started

    def execute(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a further command in it, as its user."""
        there = dict(part.split("=", 1) for part in Path(f"/proc/{self.init}/environ").read_text().split("\0") if part)
        enter = ["nsenter", "--target", str(self.init), "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd"]
        return subprocess.run(
            [*enter, "--setuid", self.user, "--setgid", self.user, "--", *words],
            env=there | dict(environment or {}), capture_output=True, text=True, check=False,
        )  # fmt: skip


def start(image: Image, root: Path, service: Service, folder: Path, hosts: Mapping[str, str], network: str | None) -> Container:
    """A container of the image, as a service says."""
    uid = image.config["User"].split(":")[0]
    expect(uid == str(UID), image.config["User"])
    table = folder / f"{service.name}.hosts"
    table.write_text("".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items()))
    spec = {
        "root": str(root), "hostname": service.name, "uid": int(uid), "cwd": image.config["WorkingDir"],
        "read_only": service.read_only, "tmpfs": [*service.tmpfs, f"/dev/shm:mode=1777,size={service.shm}"],
        "binds": {**service.volumes, **service.secrets, "/etc/hosts": str(table)},
        "environment": dict(part.split("=", 1) for part in image.config["Env"]) | service.environment,
        "words": [*image.config["Entrypoint"], *(service.command or image.config["Cmd"])],
    }  # fmt: skip
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", *([] if network else ["--net"])]
    enter = ["nsenter", f"--net=/run/netns/{network}", "--"] if network else []
    log = next(path for n in itertools.count(1) if not (path := folder / f"{service.name}-{n}.log").exists())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*enter, *namespaces, "--", sys.executable, __file__, "--inside", json.dumps(spec)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    return Container(service.name, process, log, uid)


def become(spec: Mapping[str, Any]) -> None:
    """Within new namespaces: mount, enter the image's root, drop what root may do, become the command."""
    root = Path(spec["root"])

    def mount(*words: str) -> None:
        subprocess.run(["mount", *words], check=True)

    mount("--make-rprivate", "/")
    mount("--bind", str(root), str(root))
    for path in ("proc", "sys", "dev"):
        (root / path).mkdir(exist_ok=True)
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{root}/proc")
    mount("--rbind", "/sys", f"{root}/sys")
    mount("-t", "tmpfs", "-o", "nosuid,mode=755", "tmpfs", f"{root}/dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (root / "dev" / name).symlink_to(f"/proc/self/{target}")
    for path, _, words in (entry.partition(":") for entry in spec["tmpfs"]):
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "-o", f"noexec,nosuid,nodev,{words}", "tmpfs", f"{root}{path}")
    for path, source in spec["binds"].items():
        place = root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if Path(source).is_dir() else place.touch()
        mount("--bind", source, str(place))
    if spec["read_only"]:
        mount("-o", "remount,bind,ro", str(root))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["hostname", spec["hostname"]], check=True)
    os.chroot(root)
    os.chdir(spec["cwd"])
    libc = ctypes.CDLL(None)
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(spec["uid"])
    os.setuid(spec["uid"])
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.environ["PATH"] = spec["environment"]["PATH"]
    os.execvpe(spec["words"][0], spec["words"], spec["environment"])


def until(asked: Callable[[], Any], limit_s: float, otherwise: str) -> Any:
    """The first answer that is not empty."""
    end = time.monotonic() + limit_s
    while not (answer := asked()):
        if time.monotonic() > end:
            raise SystemExit(f"docker/rehearse.py: {otherwise} within {limit_s:.0f} s")
        time.sleep(0.2)
    return answer


@contextlib.contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, tuple[str, str]]]:
    """A network without a way out: per host its namespace and its address."""
    switch = f"regatta-{os.getpid()}"
    hosts = {name: (f"{switch}-{name}", f"{SUBNET}.{number}") for number, name in enumerate(names, 2)}
    made = []
    try:
        for space in (switch, *(space for space, _ in hosts.values())):
            call("ip", "netns", "add", space)
            made.append(space)
        call("ip", "-n", switch, "link", "add", "switch", "type", "bridge")
        call("ip", "-n", switch, "link", "set", "switch", "up")
        for number, (space, address) in enumerate(hosts.values()):
            call("ip", "-n", switch, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
            call("ip", "-n", switch, "link", "set", f"port{number}", "master", "switch", "up")
            call("ip", "-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            call("ip", "-n", space, "link", "set", "eth0", "up")
        yield hosts
    finally:
        for space in made:
            call("ip", "netns", "delete", space)


# compose.yaml


def compose(values: Mapping[str, str]) -> dict[str, Any]:
    """The file, with ${NAME:-default} and ${NAME:?message} filled in."""

    def filled(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if not values.get(name) and kind == ":?":
            raise SystemExit(f"docker/rehearse.py: {name}: {rest}")
        return values.get(name) or rest

    found: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", filled, COMPOSE.read_text()))
    return found


def service(file: Mapping[str, Any], kind: str, name: str, volumes: Mapping[str, str]) -> Service:
    """One of the file's services."""
    found = file["services"][kind]
    places = {target: volumes[source] for source, target in (entry.split(":") for entry in found["volumes"])}
    files = {f"/run/secrets/{secret}": file["secrets"][secret]["file"] for secret in found["secrets"]}
    health = found["healthcheck"]["test"]
    expect(health[0] == "CMD", health)
    return Service(
        name, shlex.split(found["command"]), found["environment"], found["tmpfs"], found["shm_size"].removesuffix("b"),
        files, places, found["read_only"], health[1:],
    )  # fmt: skip


# What is tried


def volume(folder: Path, name: str) -> Path:
    """An empty folder of the image's user, as an engine makes a new volume."""
    path = folder / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    os.chown(path, UID, UID)
    return path


def alone(image: Image, root: Path, folder: Path) -> None:
    """The image's own command on a read-only root, without network, twice; then what the image promises."""
    project = volume(folder, "alone")
    for number, expected in enumerate(("The report is artifacts/report/index.html", "Nothing had to be run again")):
        started = time.monotonic()
        said = ran(image, root, folder, project)
        expect(expected in said, said)
        told(f"regatta run, read-only, as {UID}, without network: {said.strip().splitlines()[-2 - number]}", started)
    ran(image, root, folder, project, "sh", "-c", PROMISES)
    told("not root, no capabilities, nothing writable but /project and /tmp, no build tools, an init, torch without CUDA")
    waiting = start(image, root, single(project, "sh", "-c", "echo ready; exec sleep 600"), folder, {}, None)
    until(lambda: "ready" in waiting.said(), 60, "nothing runs")
    took_s = waiting.stop()
    expect(took_s < 5 and waiting.process.returncode == 128 + signal.SIGTERM, (took_s, waiting.process.returncode))
    told(f"SIGTERM ends it with exit code {waiting.process.returncode}")


def single(project: Path, *command: str) -> Service:
    """What `docker run --read-only --tmpfs /tmp -v PROJECT:/project --network none` says."""
    places = {"/project": str(project)}
    return Service("alone", list(command), {}, ["/tmp:mode=1777,size=1g"], "64m", {}, places, read_only=True, health=[])


def ran(image: Image, root: Path, folder: Path, project: Path, *command: str) -> str:
    """What a command said that ended well."""
    code, said = start(image, root, single(project, *command), folder, {}, None).ended()
    expect(code == 0, f"exit code {code}:\n{said}")
    return said


def mounted_clone(image: Image, root: Path, folder: Path) -> None:
    """A clone in the place of the volume: its own code and its own Git."""
    clone = folder / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(lambda name: name and (ROOT / name).is_file(), names):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    call("git", "init", "-q", cwd=clone)
    call("git", "add", "-A", cwd=clone)
    call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "start", cwd=clone)
    commit = call("git", "rev-parse", "HEAD", cwd=clone)
    call("chown", "-R", f"{UID}:{UID}", clone)
    said = ran(image, root, folder, clone, "sh", "-c", MOUNTED)
    expect(said.strip().splitlines()[-2:] == [commit, "/project/pipeline/__init__.py"], said)
    told(f"a mounted clone is left as it is, and Git knows it: {commit[:12]}")


def cluster(image: Image, root: Path, folder: Path) -> None:
    """Head, workers and driver of compose.yaml, each a host of its own; the driver's command; who is kept out."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32) + "\n")
    os.chown(token, UID, UID)
    file = compose({"REGATTA_TOKEN_FILE": str(token), "REGATTA_WORKERS": str(WORKERS), "REGATTA_CPUS": "1"})
    volumes = {"project": str(volume(folder, "project"))}
    workers = [f"worker-{number}" for number in range(1, WORKERS + 1)]
    with network(["head", *workers, "driver", "stranger"]) as hosts, contextlib.ExitStack() as running:
        addresses = {name: address for name, (_, address) in hosts.items()}

        def begin(kind: str, name: str, **changes: Any) -> Container:
            one = Service(**{**vars(service(file, kind, name, volumes)), **changes})
            container = start(image, root, one, folder, addresses, hosts[name][0])
            running.callback(container.stop)
            return container

        started = time.monotonic()
        nodes = {"head": begin("head", "head")}
        healthy(nodes["head"], service(file, "head", "head", volumes).health)
        nodes |= {name: begin("worker", name) for name in workers}
        for name in workers:
            healthy(nodes[name], service(file, "worker", name, volumes).health)
        told(f"a head and {WORKERS} workers are healthy", started)

        started = time.monotonic()
        driver = begin("driver", "driver")
        code, said = driver.ended()
        expect(code == 0 and "The report is artifacts/report/index.html" in said, f"exit code {code}:\n{said}")
        placed = next((line for line in said.splitlines() if all(f"{name} (1)" in line for name in workers)), None)
        expect(placed is not None, said)
        command = shlex.join(service(file, "driver", "driver", volumes).command)
        told(f"{command}: {placed}; {said.strip().splitlines()[-2]}", started)
        on_nodes(begin, nodes["head"], workers)


def on_nodes(begin: Callable[..., Container], head: Container, workers: Sequence[str]) -> None:
    """Which nodes tasks run on; a stranger without the token; the dashboard from elsewhere; a node that is stopped."""
    started = time.monotonic()
    code, said = begin("driver", "driver", command=["python", "-c", ON_NODES]).ended()
    expect(code == 0 and said.strip().splitlines()[-1] == str([(name, UID, "/project") for name in workers]), said)
    told(f"tasks ran on {said.strip().splitlines()[-1]} and on no other node", started)

    for kind, environment in {"no": {"RAY_AUTH_MODE": "disabled"}, "a wrong": {"RAY_AUTH_TOKEN": "0" * 64}}.items():
        changes = {"secrets": {}, "environment": environment, "command": ["python", "-c", STRANGER]}
        code, said = begin("driver", "stranger", **changes).ended(120)
        expect(code != 0 and "uthenticat" in said, said)
        told(f"kept out with {kind} token: {said.strip().splitlines()[-1][:150]}")
    code, said = begin("worker", "stranger", command=["python", "-c", DASHBOARD]).ended(60)
    expect(said.strip() == "refused", said)
    told("the dashboard answers no other host")
    took_s = head.stop()
    told(f"the head ended {took_s:.1f} s after SIGTERM, exit code {head.process.returncode}")


def healthy(container: Container, test: Sequence[str]) -> None:
    """Wait for a service's own health check."""

    def asked() -> bool:
        expect(container.process.poll() is None, f"{container.name} has ended:\n{container.said()}")
        return container.execute(*test).returncode == 0

    until(asked, 120, f"{container.name} is not healthy")


if __name__ == "__main__":
    sys.exit(main())
