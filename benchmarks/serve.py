"""Latencies of `regatta serve` on loopback, when people ask 50 times a second whether it keeps up or not.

    python -m benchmarks.serve digit artifacts/train    # the digits' network: an 8 x 8 PNG a request
    python -m benchmarks.serve photo MODEL              # of `regatta run data=folder`: a JPEG of 224 x 224 a request

The server is a process of its own. Requests come at times that are drawn beforehand (Poisson), each as a form with a file;
a latency is counted from the time that a request should have gone, so that waiting for the ones before is part of it.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import aiohttp
import numpy as np

from benchmarks.harness import write_row
from benchmarks.pictures import digit, photo

RATE, NUM, WARMUP = 50.0, 1500, 100


def main() -> None:
    """Ask, and write the row."""
    what, model = sys.argv[1:]
    name, content = FILES[what]()
    with served(model) as address:
        asyncio.run(asked(address, name, content, times(WARMUP)))
        seconds = asyncio.run(asked(address, name, content, times(NUM)))
    p50, p99, longest = (1000 * np.quantile(seconds, [0.5, 0.99, 1.0])).tolist()
    own = {"p50_ms": p50, "p99_ms": p99, "longest_ms": longest, "requests": NUM, "requests_per_s": RATE}
    write_row(f"serve_{what}", own | {"body_bytes": len(content)}, {})


FILES = {"digit": digit, "photo": photo}


def times(num: int) -> list[float]:
    """Seconds from the start at which requests go."""
    gaps = np.random.default_rng(num).exponential(1 / RATE, num)
    return list(np.cumsum(gaps).tolist())


@contextmanager
def served(model: str) -> Iterator[str]:
    """A server's address while the block runs."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", model, "--port", "0", "--queue", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.readline()
        try:
            yield said.partition(" answers at ")[2].partition(";")[0]
        finally:
            process.send_signal(signal.SIGTERM)


async def asked(address: str, name: str, content: bytes, when: Sequence[float]) -> list[float]:
    """The seconds of each request, all of which are answered."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        start = time.perf_counter()

        async def one(at: float) -> float:
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            form = aiohttp.FormData()
            form.add_field("file", content, filename=name)
            async with session.post(f"{address}predict", data=form) as response:
                assert len((await response.json())["answers"]) == 1, await response.text()
            return time.perf_counter() - start - at

        return await asyncio.gather(*map(one, when))


if __name__ == "__main__":
    main()
