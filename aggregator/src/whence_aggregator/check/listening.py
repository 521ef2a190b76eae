"""Check that a server could listen on an address, by binding it for a moment."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

from whence_aggregator.check.findings import SettingsProblems
from whence_common.errors import one_line

_ASK_SECONDS_MAX = 2.0
_HEALTH_BYTES_MAX = 1024
_HEALTH = b'"health"'


def check_listening(findings: SettingsProblems, setting: str, address: str, port: int, *, tls: bool) -> None:
    """Report an address or port that a server cannot bind. `setting` is the name of the port's setting."""
    prefix = setting.removesuffix("listen_port")
    try:
        ((family, kind, _, _, where), *_) = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        message = f"{prefix}listen_address: {one_line(address, 100)} is not an address: {exc.strerror}"
        findings.error(message, fix="write an IP address of this machine, 0.0.0.0 or ::", code="listen-address")
        return
    try:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as exc:
        _note(findings, exc, prefix, address, port, tls=tls)


def _note(findings: SettingsProblems, exc: OSError, prefix: str, address: str, port: int, *, tls: bool) -> None:
    where = f"{prefix}listen_port: port {port} of {address}"
    if exc.errno == errno.EADDRINUSE and _is_ours(address, port, tls=tls):
        findings.warn(
            f"{where} is in use by a running Whence service", fix="restart it with systemctl", code="listen-port"
        )
    elif exc.errno == errno.EADDRINUSE:
        fix = f"stop the program that listens there (ss -ltnp 'sport = :{port}' shows it), or choose another port"
        findings.error(f"{where} is in use by another program", fix=fix, code="listen-port")
    elif exc.errno == errno.EADDRNOTAVAIL:
        message = f"{prefix}listen_address: {address} is not an address of this machine"
        findings.error(
            message, fix="choose an address that `ip address` shows, or 0.0.0.0 for all of them", code="listen-address"
        )
    elif exc.errno in (errno.EACCES, errno.EPERM):
        findings.error(
            f"this user may not open {where}: ports below 1024 need CAP_NET_BIND_SERVICE",
            fix="the packaged units have it (AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose a port from 1024 on",
            code="listen-port",
        )
    else:
        findings.error(f"{where} cannot be opened: {exc.strerror}", fix="correct address and port", code="listen-port")


def _is_ours(address: str, port: int, *, tls: bool) -> bool:
    """Return whether a Whence service responds there. TLS is not verified: no secret is sent."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)  # noqa: S104 - compared
    connection = http.client.HTTPConnection(host, port, timeout=_ASK_SECONDS_MAX)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its certificate may be the problem
        connection = http.client.HTTPSConnection(host, port, timeout=_ASK_SECONDS_MAX, context=context)
    try:
        connection.request("GET", "/health")
        return _HEALTH in connection.getresponse().read(_HEALTH_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
