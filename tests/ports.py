"""Ports for servers of tests."""

import random
import socket

# Below those of outgoing connections (from 32768 on), which would take a server's port while it is down.
_RANGE = range(12000, 32000)
_given: set[int] = set()


def free_port() -> int:
    """One that nobody listens at and that this process was not given before."""
    while (port := random.choice(_RANGE)) in _given or not _is_free(port):
        pass
    _given.add(port)
    return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
