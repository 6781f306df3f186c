"""
Which user of this machine a loopback connection belongs to.

A port of the loopback interface is open to every user of the machine, and a command line can be
read by every user, so a secret address that a browser is started with is no proof of who opens it.
Linux lists the owner of each socket; other systems do not show one user's command lines to another
(Windows), or start the browser without one (macOS).
"""

import os
import struct
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ROOT = 0

Address = tuple[str, int]


def is_of_another_user(client: Address, server: Address) -> bool:
    """
    Tell whether a connection was opened by another user than the one this program runs as.

    Args:
        client: The connection's address and port at the client.

        server: The connection's address and port here.

    Returns:
        False, too, for root, who can read this program's memory anyway and forwards the ports of
        some virtual machines, and where the system does not list the owner.
    """
    owner = _owner(client, server)
    return owner is not None and owner not in {os.geteuid(), _ROOT}


def _owner(client: Address, server: Address) -> int | None:
    if sys.platform != "linux":
        return None
    wanted = set(zip(_spellings(client), _spellings(server), strict=True))
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # sl, local_address, rem_address, st, queues, timer, retrnsmt, uid, ...
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return int(fields[7])
    return None


def _spellings(address: Address) -> Iterator[str]:
    host, port = ip_address(address[0]), address[1]
    # A dual-stack client has an IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2).
    for packed in (host.packed, bytes(10) + b"\xff\xff" + host.packed):
        count = len(packed) // 4
        # The kernel prints each 32-bit word in the machine's own byte order.
        words = struct.unpack(f"={count}I", packed[: 4 * count])
        yield "".join(f"{word:08X}" for word in words) + f":{port:04X}"
