"""Errors of listening on an address."""

from __future__ import annotations

import errno

from whence_common.errors import RoadError, WhenceError
from whence_common.settings_file import SettingsInvalid


def cannot_listen(exc: OSError, address: str, port: int) -> WhenceError:
    """Return the error for the operator: a wrong setting, or a port that another program uses."""
    where = f"port {port} of {address}"
    if exc.errno in (errno.EACCES, errno.EPERM):
        return SettingsInvalid(
            "listen-port", f"this user may not open {where}: ports below 1024 need CAP_NET_BIND_SERVICE",
            fix="the packaged units have it (AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose a port from 1024 on",
        )  # fmt: skip
    if exc.errno == errno.EADDRINUSE:
        fix = f"stop the program that listens there (ss -ltnp 'sport = :{port}' shows it), or choose another port"
        return RoadError("listen-port", f"{where} is in use by another program", fix=fix)
    if exc.errno == errno.EADDRNOTAVAIL:
        fix = "choose an address that `ip address` shows, or 0.0.0.0 for all of them"
        return RoadError("listen-address", f"{address} is not an address of this machine", fix=fix)
    return RoadError("listen-address", f"{where} cannot be opened: {exc}", fix="correct listen_address and listen_port")
