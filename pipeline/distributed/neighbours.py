"""Workers on one machine: gradients summed in memory that they share, and sockets by which they wait for each other.

Through gloo's loopback connections 2.7 MB take 5 ms of a step; here they take what adding them up takes (docs/log.md). The
memory has no name and the sockets no file, so nothing is left of workers that are killed, and a worker that goes is noticed
at once, by the end of its connection. Linux only.
"""

from __future__ import annotations

import mmap
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from pipeline.train.tree import Span, finished, lost_peers

KEY = "regatta/neighbours"


class Neighbours:
    """All workers of a training, on one machine; this one is `rank`. They share `rooms` (size, most, columns) float32."""

    def __init__(self, rank: int, connections: list[socket.socket], rooms: Tensor, total: Tensor) -> None:
        """connections: of the first worker one to each other, of the others one to the first; total: (columns,), shared."""
        self.rank, self.connections, self.rooms, self.total = rank, connections, rooms, total
        size, _, columns = rooms.shape
        self.share = slice(columns * rank // size, columns * (rank + 1) // size)
        """The columns that this worker sums for all."""

    @property
    def room(self) -> Tensor:
        """(1, columns): where this worker's part of a sum is best computed, since it needs no copying then."""
        return self.rooms[self.rank, :1]

    def summed(self, own: list[Tensor], spans: list[list[Span]], num_shards: int) -> Tensor:
        """Finish the tree (see tree.py) over every worker's parts, this one's being `own`, each (1, columns).

        Returns (1, columns), to be read only: all workers share it, until each has brought its next parts.
        """
        for room, part in zip(self.rooms[self.rank], own, strict=False):
            if part.data_ptr() != room.data_ptr():
                room.copy_(part[0])
        self.true_anywhere(False)
        parts = {span: self.rooms[rank, i, self.share] for rank, held in enumerate(spans) for i, span in enumerate(held)}
        finished(parts, 0, num_shards, self.total[self.share])
        self.true_anywhere(False)
        return self.total.unsqueeze(0)

    def true_anywhere(self, own: bool) -> bool:
        """Whether it is true on any worker. Returns once all have asked; PeerLost where one has gone or is silent."""
        with lost_peers():
            if self.rank:
                self.connections[0].sendall(bytes([own]))
                return bool(_received(self.connections[0]))
            found = bool(own) | (max(map(_received, self.connections)) > 0)  # each is heard
            for one in self.connections:
                one.sendall(bytes([found]))
            return found


@contextmanager
def neighbours(store: Any, rank: int, size: int, most: int, columns: int, timeout_s: float) -> Iterator[Neighbours]:
    """Join the other workers of this machine, found through their store. most: parts of a sum that one worker may bring.

    PeerLost where one of them has gone. The memory is this process's as long as a tensor in it.
    """
    num_bytes = 4 * columns * (size * most + 1)
    with ExitStack() as stack:
        if rank:
            connections, memory = _joined(stack, store, timeout_s)
        else:
            connections, memory = _hosted(stack, store, size, num_bytes, timeout_s)
        for one in connections:
            one.setblocking(True)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", *divmod(int(1e6 * timeout_s), 10**6)))
        shared = torch.frombuffer(mmap.mmap(memory, num_bytes), dtype=torch.float32)
        rooms, total = torch.split(shared, columns * size * most)
        yield Neighbours(rank, connections, rooms.view(size, most, columns), total)


def _hosted(stack: ExitStack, store: Any, size: int, num_bytes: int, timeout_s: float) -> tuple[list[socket.socket], int]:
    """The first worker's connections to the others, and the memory, which it hands to each of them."""
    memory = os.memfd_create("regatta")
    stack.callback(os.close, memory)
    os.ftruncate(memory, num_bytes)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        name = secrets.token_hex(16)
        server.bind(f"\0{name}")  # a name that no file has
        server.listen(size)
        server.settimeout(timeout_s)
        connections: list[socket.socket] = []
        with lost_peers():
            store.set(KEY, name)
            while len(connections) < size - 1:
                one = stack.enter_context(server.accept()[0])
                if _user_of(one) == os.getuid():
                    socket.send_fds(one, [b"m"], [memory])
                    connections.append(one)
                else:
                    one.close()
    return connections, memory


def _joined(stack: ExitStack, store: Any, timeout_s: float) -> tuple[list[socket.socket], int]:
    """The connection to the first worker, and the memory that it hands over."""
    one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    one.settimeout(timeout_s)
    with lost_peers():
        one.connect(f"\0{store.get(KEY).decode()}")
        _, found, *_ = socket.recv_fds(one, 1, 1)
        if not found:
            raise ConnectionResetError("its connection has ended")
    stack.callback(os.close, found[0])
    return [one], found[0]


def _user_of(connection: socket.socket) -> int:
    """The user at its other end."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(user)


def _received(connection: socket.socket) -> int:
    """The byte that comes next."""
    try:
        found = connection.recv(1)
    except BlockingIOError:
        raise TimeoutError("nothing has come within cluster.timeout_s") from None
    if not found:
        raise ConnectionResetError("its connection has ended")
    return found[0]
