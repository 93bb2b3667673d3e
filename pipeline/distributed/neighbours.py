"""Workers on one machine: gradients summed in memory that they share, and sockets by which they wait for each other.

Through gloo's loopback connections 2.7 MB take 5 ms of a step; here they take what adding them up takes (docs/log.md). The
memory has no name and the sockets no file, so nothing is left of workers that are killed, and a worker that goes is noticed
at once, by the end of its connection. They meet under a name that is told to them alone, and each looks whose process is
at the other end. Linux only.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch
from torch import Tensor

from pipeline.train.tree import Span, finished, lost_peers

ASK_S = 0.01
"""Between two looks for the first worker, which may begin later than the others."""


class SharedMemory:
    """All workers of a training, on one machine; this one is `rank`. They share `rooms` (size, most, columns) float32."""

    def __init__(self, rank: int, connections: list[socket.socket], rooms: Tensor, total: Tensor) -> None:
        """connections: of the first worker one to each other, of the others one to the first; total: (columns,), shared."""
        self.rank, self.connections, self.rooms, self.total = rank, connections, rooms, total
        size, _, columns = rooms.shape
        self.share = slice(columns * rank // size, columns * (rank + 1) // size)
        """The columns that this worker sums for all."""

    @property
    def place(self) -> Tensor:
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
            any_true = bool(own) | (max(map(_received, self.connections)) > 0)  # each is heard
            for one in self.connections:
                one.sendall(bytes([any_true]))
            return any_true

    def merged(self, own: Tensor) -> Tensor:
        """The sum of the workers' tensors, in the order of their ranks. For what is rare: all of it goes through the first."""
        with lost_peers():
            if self.rank:
                _send(self.connections[0], own)
                return _received_like(self.connections[0], own)
            whole = own.clone()
            for one in self.connections:
                whole += _received_like(one, own)
            for one in self.connections:
                _send(one, whole)
            return whole

    def told(self, words: Tensor) -> Tensor:
        """The first worker's tensor; the others' are of the same shape."""
        with lost_peers():
            if self.rank:
                return _received_like(self.connections[0], words)
            for one in self.connections:
                _send(one, words)
            return words


@contextmanager
def neighbours(name: str, rank: int, size: int, most: int, columns: int, timeout_s: float) -> Iterator[SharedMemory]:
    """Join the other workers of this machine. most: parts of a sum that one worker may bring.

    name: that nobody else can guess. PeerLost where one of them has gone, or another user's process is at the other end.
    The memory is this process's as long as a tensor in it.
    """
    num_bytes = 4 * columns * (size * most + 1)
    with ExitStack() as stack:
        if rank:
            connections, memory = _joined(stack, name, timeout_s)
        else:
            connections, memory = _hosted(stack, name, size, num_bytes, timeout_s)
        for one in connections:
            one.setblocking(True)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                one.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", *divmod(int(1e6 * timeout_s), 10**6)))
        shared = torch.frombuffer(mmap.mmap(memory, num_bytes), dtype=torch.float32)
        rooms, total = torch.split(shared, columns * size * most)
        yield SharedMemory(rank, connections, rooms.view(size, most, columns), total)


def _hosted(stack: ExitStack, name: str, size: int, num_bytes: int, timeout_s: float) -> tuple[list[socket.socket], int]:
    """The first worker's connections to the others, and the memory, which it hands to each of them."""
    memory = os.memfd_create("regatta")
    stack.callback(os.close, memory)
    os.ftruncate(memory, num_bytes)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, lost_peers():
        server.bind(f"\0{name}")  # a name that no file has
        server.listen(size)
        server.settimeout(timeout_s)
        connections: list[socket.socket] = []
        while len(connections) < size - 1:
            one = stack.enter_context(server.accept()[0])
            if _user_of(one) == os.getuid():
                socket.send_fds(one, [b"m"], [memory])
                connections.append(one)
            else:
                one.close()
    return connections, memory


def _joined(stack: ExitStack, name: str, timeout_s: float) -> tuple[list[socket.socket], int]:
    """The connection to the first worker, and the memory that it hands over."""
    with lost_peers():
        one = stack.enter_context(_connected(name, timeout_s))
        if (user := _user_of(one)) != os.getuid():
            raise ConnectionRefusedError(f"a process of user {user} has taken the first worker's place")
        _, found, *_ = socket.recv_fds(one, 1, 1)
        if not found:
            raise ConnectionResetError("its connection has ended")
    stack.callback(os.close, found[0])
    return [one], found[0]


def _connected(name: str, timeout_s: float) -> socket.socket:
    """To the first worker, as soon as it listens."""
    until = time.monotonic() + timeout_s
    while True:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        one.settimeout(timeout_s)
        with suppress(ConnectionRefusedError):
            one.connect(f"\0{name}")
            return one
        one.close()
        if time.monotonic() > until:
            raise TimeoutError("the first worker has not come within cluster.timeout_s")
        time.sleep(ASK_S)


def _user_of(connection: socket.socket) -> int:
    """The user at its other end."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(user)


def _send(connection: socket.socket, own: Tensor) -> None:
    """Its bytes; the other end knows type and shape."""
    try:
        connection.sendall(_bytes_of(own.contiguous()))
    except BlockingIOError:
        raise TimeoutError("nothing was taken within cluster.timeout_s") from None


def _received_like(connection: socket.socket, own: Tensor) -> Tensor:
    """A tensor of the type and shape of one's own."""
    tensor = torch.empty_like(own, memory_format=torch.contiguous_format)
    unfilled = _bytes_of(tensor)
    while unfilled:
        unfilled = unfilled[_received_into(connection, unfilled) :]
    return tensor


def _bytes_of(own: Tensor) -> memoryview:
    """Of a contiguous tensor, in its own memory."""
    return own.view(-1).view(torch.uint8).numpy().data


def _received(connection: socket.socket) -> int:
    """The byte that comes next."""
    byte = bytearray(1)
    _received_into(connection, memoryview(byte))
    return byte[0]


def _received_into(connection: socket.socket, room: memoryview) -> int:
    """How many bytes have come."""
    try:
        num_bytes = connection.recv_into(room)
    except BlockingIOError:
        raise TimeoutError("nothing has come within cluster.timeout_s") from None
    if not num_bytes:
        raise ConnectionResetError("its connection has ended")
    return num_bytes
