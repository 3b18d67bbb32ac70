"""Peers that connect, say at most one thing, and stay: many, on few resources of their own."""

import contextlib
import socket
from collections.abc import Iterator

Address = tuple[str, int]


@contextlib.contextmanager
def crowd(address: Address, count: int, said: bytes = b"", receives: int = 0) -> Iterator[list[socket.socket]]:
    """So many at one address, gone at the end. `receives`: bytes that each lets the kernel take in for it, 0: as usual."""
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(count):
            peer = stack.enter_context(socket.socket())
            if receives:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
            peer.connect(address)
            if said:
                with contextlib.suppress(ConnectionError):
                    peer.sendall(said)
            peers.append(peer)
        yield peers
