"""What a program listens on, as the kernel shows it, and the table of systemd/README.md that states it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from landscape.whole import ROOT

_LISTENS = "0A"
"""TCP_LISTEN, net/tcp_states.h; an unconnected UDP socket has 07, TCP_CLOSE."""
_UDP_OPEN = "07"
_ROW = re.compile(r"\| `(whence-[a-z@.]+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """Return the endpoints of each unit in the table: `tcp 127.0.0.1:7380`, or the path of a socket."""
    text = (ROOT / "systemd/README.md").read_text(encoding="utf-8")
    return {unit: set(re.findall(r"`([^`]+)`", endpoints)) for unit, endpoints in _ROW.findall(text)}


def listening(pid: int) -> set[str]:
    """Return every endpoint on which a process listens, of any protocol, whichever process opened it."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(found[1])
    network = Path(f"/proc/{pid}/net")
    endpoints = set()
    for protocol, state in (("tcp", _LISTENS), ("tcp6", _LISTENS), ("udp", _UDP_OPEN), ("udp6", _UDP_OPEN)):
        for line in (network / protocol).read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == state and words[9] in inodes:
                endpoints.add(f"{protocol} {_address(words[1])}")
    for line in (network / "unix").read_text(encoding="utf-8").splitlines()[1:]:
        words = line.split()
        if words[3] == "00010000" and words[6] in inodes:  # __SO_ACCEPTCON
            endpoints.add(words[7] if len(words) > 7 else "unix, unnamed")
    return endpoints


def _address(text: str) -> str:
    """Return 127.0.0.1:7380 of 0100007F:1CD4; of IPv6 the address stays as the kernel writes it."""
    address, port = text.split(":")
    if len(address) == 8:
        address = ".".join(str(part) for part in reversed(bytes.fromhex(address)))
    return f"{address}:{int(port, 16)}"
