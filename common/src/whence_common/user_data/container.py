"""What user data says of the container: ports and environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from whence_common.errors import one_line
from whence_common.user_data import readers, secret_references
from whence_common.user_data.findings import DocumentProblems
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode

Protocol = Literal["tcp", "udp"]
_PORT = re.compile(r"(?P<port>[1-9][0-9]{0,4})(?:/(?P<protocol>tcp|udp))?\Z")
_VARIABLE = re.compile(r"[!-<>-~]{1,255}\Z")
"""Whatever the engine takes that a name may hold: printable, no space, no =."""
VARIABLE_BYTES_MAX = 128 * 1024 - 1
"""Longest string that execve(2) passes on (MAX_ARG_STRLEN), without the byte that ends it."""
_OVERWRITTEN = ("APPLICATION_ID", "APPLICATION_VERSION")
_PORTS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    host: int
    container: int
    protocol: Protocol


def read_ports(node: Node | None, findings: DocumentProblems, *, path: str = "ports") -> tuple[PortMapping, ...]:
    """Read `ports`: host port to container port. A protocol may follow either; the key's moves to the value."""
    if node is None:
        return ()
    if not isinstance(node, MappingNode):
        readers.wrong_shape(node, path, "mapping", findings)
        return ()
    mappings: dict[tuple[int, Protocol], PortMapping] = {}
    for name, value in node.entries.items():
        key = node.keys[name]
        host = _port(key, f"{path}.{one_line(name, 40)}", findings)
        container = _port(value, f"{path}.{one_line(name, 40)}", findings)
        if host is None or container is None:
            continue
        protocol = _protocol(host[1], container[1], key, findings, path)
        if protocol is None:
            continue
        if (host[0], protocol) in mappings:
            message = f"host port {host[0]}/{protocol} is published twice"
            findings.error(key, f"{path}.{name}", "port-twice", message, "keep one")
        mappings[(host[0], protocol)] = PortMapping(host=host[0], container=container[0], protocol=protocol)
    if len(mappings) > _PORTS_MAX:
        findings.error(node, path, "ports-too-many", f"more than {_PORTS_MAX} ports are published", "publish fewer")
    return tuple(mappings.values())


def read_environment(node: Node | None, findings: DocumentProblems, *, path: str = "environment") -> dict[str, str]:
    """Read `environment` as stock renders it: scalars only; booleans as True and False, null as None."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        readers.wrong_shape(node, path, "mapping", findings)
        return {}
    environment: dict[str, str] = {}
    for name, value in node.entries.items():
        where = f"{path}.{one_line(name, 60)}"
        if not _VARIABLE.match(name):
            message = f"{one_line(name, 60)!r} is not the name of a variable"
            findings.error(node.keys[name], where, "environment-name", message, "use letters, digits and _")
        elif not isinstance(value, ScalarNode):
            message = f"{where} must be one value, but is {readers.describe(value)}"
            findings.error(value, where, "environment-not-scalar", message, "write it as text in quotes")
        elif "\x00" in value.text:
            findings.error(value, where, "environment-nul", f"{where} holds a NUL character", "remove it")
        else:
            environment[name] = secret_or_text(value, _rendered(value, where, findings), where, findings)
            _judge_variable(node.keys[name], name, environment[name], where, findings)
    return environment


def secret_or_text(node: Node, value: str, path: str, findings: DocumentProblems) -> str:
    """Return a value; a reference to a secret as the boot resolves it, judged as the boot judges it."""
    if secret_references.is_nearly_reference(value):
        message = f"{path} looks like a reference to a secret, but is taken as it is written"
        fix = "begin it with one of " + ", ".join(secret_references.PREFIXES)
        findings.warning(node, path, "secret-reference-unknown", message, fix)
    if not secret_references.is_reference(value):
        return value
    try:
        reference = secret_references.checked(value)
    except secret_references.ReferenceInvalid as exc:
        findings.error(node, path, exc.code, f"{path}: {exc.message}", exc.fix)
        return value
    doubt = secret_references.doubt(reference)
    if doubt is not None:
        findings.warning(node, path, doubt[0], f"{path}: {doubt[1]}", doubt[2])
    return reference


def _judge_variable(at: Node, name: str, value: str, path: str, findings: DocumentProblems) -> None:
    if len(f"{name}={value}".encode()) > VARIABLE_BYTES_MAX:
        message = f"{path} has more than {VARIABLE_BYTES_MAX} bytes with its name; the kernel passes no longer one on"
        findings.error(at, path, "environment-too-long", message, "put it into a file, or into the image")
    if name in _OVERWRITTEN:
        message = f"{path} is overwritten: the agent sets {name}, as Taupage did"
        findings.warning(at, path, "environment-overwritten", message, "remove it, or name it otherwise")


def _rendered(value: ScalarNode, path: str, findings: DocumentProblems) -> str:
    if isinstance(value.value, str):
        return value.value
    rendered = str(value.value)
    if rendered != value.text:
        # a number may be a secret, and this message leaves the machine
        shown = rendered if value.value is None or isinstance(value.value, bool) else "another text than is written"
        message = f"the application will see {shown}"
        findings.warning(value, path, "environment-rendered", message, "put the value in quotes if that is not meant")
    return rendered


def _port(node: Node, path: str, findings: DocumentProblems) -> tuple[int, Protocol | None] | None:
    match = _PORT.match(node.text) if isinstance(node, ScalarNode) else None
    if match is None or int(match["port"]) > 65535:
        shown = one_line(node.text, 40) if isinstance(node, ScalarNode) else readers.describe(node)
        message = f"{shown} is not a port"
        findings.error(node, path, "port-malformed", message, "write a number from 1 to 65535, /tcp or /udp may follow")
        return None
    protocol = match["protocol"]
    return int(match["port"]), None if protocol is None else ("udp" if protocol == "udp" else "tcp")


def _protocol(
    host: Protocol | None, container: Protocol | None, at: Node, findings: DocumentProblems, path: str
) -> Protocol | None:
    if host is not None and container is not None and host != container:
        findings.error(at, path, "port-protocols-differ", f"{host} cannot lead to {container}", "use one protocol")
        return None
    return host or container or "tcp"
