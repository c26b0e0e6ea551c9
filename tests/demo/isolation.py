"""Cuts a process off from every network, as a factory is: nothing is left but loopback.

What `unshare --net` (as root) or `unshare --user --net` (as anybody else) does, without
needing either program, nor `ip`: see unshare(2), user_namespaces(7), netdevice(7). The
user keeps their own number, so that files and homes stay theirs.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
NOWHERE = ("192.0.2.1", 80)  # kept for documents by RFC 5737: no host has it, but a route may lead there


class NotIsolatedError(Exception):
    """This system does not let us leave the network; the message says why."""


def isolate() -> str:
    """Leave every network, for this process and all that it starts from now on.

    Returns the proof as a sentence; raises NotIsolatedError, and then nothing has changed.
    Must be called before any thread is started.
    """
    # Half a way in cannot be undone, so a child goes first.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _leave()
            _prove()
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(code)
    code = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    if code:
        raise NotIsolatedError(f"this system forbids a network namespace of our own ({os.strerror(code)})")
    _leave()
    return _prove()


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET):
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _prove() -> str:
    interfaces = [name for _number, name in socket.if_nameindex()]
    if interfaces != ["lo"] or routes():
        raise OSError(errno.EISCONN, f"interfaces {interfaces}, routes {routes()}")
    with socket.socket() as probe:
        probe.settimeout(2)
        found = probe.connect_ex(NOWHERE)
    if found != errno.ENETUNREACH:
        raise OSError(errno.EISCONN, "there is a way out")
    return f"no route, no interface but {interfaces[0]}, and {NOWHERE[0]} is '{os.strerror(found).lower()}'"


def routes() -> list[str]:
    """The routes of this process that do not end on loopback, as the kernel lists them."""
    found = []
    for name, header in (("route", 1), ("ipv6_route", 0)):
        table = Path("/proc/self/net") / name
        lines = table.read_text().splitlines()[header:] if table.exists() else []
        # The interface is the first column of the old table and the last of the new one.
        found += [line for line in lines if "lo" not in (line.split()[0], line.split()[-1])]
    return found
