"""Several hosts on one machine: network namespaces on a bridge of their own, and a Ray cluster over them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

NETWORK = "10.231.7"
PORT = 6379
QUICK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray notices a silent node after some 5 s instead of 30."""


def lacking() -> str | None:
    """Why there can be no hosts here."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        return "needs root and iproute2 for network namespaces"
    tried = subprocess.run(["ip", "netns", "add", "regatta-try"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "regatta-try"], check=True)
    return None


class Hosts:
    """Hosts 1 to `num` with an address each; host 1 is the head. Each is a Ray node of so many cores."""

    def __init__(self, num: int, folder: Path, cpus: int = 1) -> None:
        self.num, self.folder, self.cpus = num, folder, cpus
        self.prefix = f"rgt{os.getpid()}"
        self.token = folder / "token"
        self.processes = {}

    def __enter__(self):
        self.token.touch(mode=0o600)
        self.token.write_text("0123456789abcdef" * 4)
        switch = f"{self.prefix}sw"
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for i in range(1, self.num + 1):
            name = self.name(i)
            ip("netns", "add", name)
            ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"port{i}", "netns", switch)
            ip("-n", switch, "link", "set", f"port{i}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
            self.names(name).mkdir(parents=True)  # what `ip netns exec` shows as /etc; without names each look-up takes 10 s
            (self.names(name) / "hosts").write_text(
                "127.0.0.1 localhost\n" + "".join(f"{self.address(j)} host{j}\n" for j in range(1, self.num + 1))
            )
        self.start(1)
        self.start(*range(2, self.num + 1))
        return self

    def __exit__(self, *_):
        for i in range(1, self.num + 1):
            self.kill(i)
        for name in [*(self.name(i) for i in range(1, self.num + 1)), f"{self.prefix}sw"]:
            ip("netns", "delete", name)
            shutil.rmtree(self.names(name), ignore_errors=True)

    @staticmethod
    def names(name):
        return Path("/etc/netns") / name

    def name(self, i):
        return f"{self.prefix}h{i}"

    def address(self, i):
        return f"{NETWORK}.{i}"

    def environment(self):
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "RAY_USAGE_STATS_ENABLED": "0"}
        return {**os.environ, **QUICK, **token, "PYTHONWARNINGS": "ignore"}

    def start(self, *hosts):
        """Start hosts' nodes, again perhaps, and wait until they answer."""
        ray = str(Path(sys.executable).parent / "ray")
        for i in hosts:
            place = ["--head", f"--port={PORT}"] if i == 1 else [f"--address={self.address(1)}:{PORT}"]
            command = [ray, "start", *place, f"--node-ip-address={self.address(i)}", f"--num-cpus={self.cpus}", "--block"]
            # Sockets' paths are short, so not below the folder of the test.
            command += [f"--temp-dir=/tmp/{self.name(i)}", "--object-store-memory=80000000"]
            command += ["--include-dashboard=false"] if i == 1 else []
            with (self.folder / f"host{i}.log").open("w") as log:
                self.processes[i] = self.run(i, command, stdout=log, stderr=log)
        until = time.monotonic() + 60
        for i in hosts:
            while "--block" not in (text := (self.folder / f"host{i}.log").read_text()):
                assert self.processes[i].poll() is None, text
                assert time.monotonic() < until, text
                time.sleep(0.1)

    def run(self, i, command, **options):
        """A process on a host, which has a name of its own."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname host{i}; exec "$@"', "sh", *command]
        return subprocess.Popen(["ip", "netns", "exec", self.name(i), *named], env=self.environment(), **options)

    def pids(self, i):
        done = subprocess.run(["ip", "netns", "pids", self.name(i)], capture_output=True, text=True, check=True)
        return [int(pid) for pid in done.stdout.split()]

    def signal(self, i, number):
        for pid in self.pids(i):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, i):
        """As if the host had lost its power."""
        self.signal(i, signal.SIGKILL)
        self.processes[i].wait()
        shutil.rmtree(f"/tmp/{self.name(i)}", ignore_errors=True)

    def cut(self, i):
        """Pull its network cable."""
        ip("-n", self.name(i), "link", "set", "eth0", "down")


def ip(*words):
    subprocess.run(["ip", *words], check=True)
