"""Ports and environment of a container."""

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
"""The names that the engine accepts: printable ASCII without space and =."""
VARIABLE_BYTES_MAX = 128 * 1024 - 1
"""The longest string that execve(2) accepts (MAX_ARG_STRLEN), without the terminating NUL."""
_OVERWRITTEN = ("APPLICATION_ID", "APPLICATION_VERSION")
_PORTS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    host: int
    container: int
    protocol: Protocol


def read_ports(node: Node | None, findings: DocumentProblems, *, path: str = "ports") -> tuple[PortMapping, ...]:
    """Return the `ports`, host port to container port. Either may state the protocol."""
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
    """Return the `environment` as Taupage renders it: scalars only; booleans as True and False, null as None."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        readers.wrong_shape(node, path, "mapping", findings)
        return {}
    environment: dict[str, str] = {}
    for name, value in node.entries.items():
        where = f"{path}.{one_line(name, 60)}"
        if not _VARIABLE.match(name):
            message = f"{one_line(name, 60)!r} is not a valid variable name"
            findings.error(node.keys[name], where, "environment-name", message, "use letters, digits and _")
        elif not isinstance(value, ScalarNode):
            message = f"{where} must be a single value, but is {readers.describe(value)}"
            findings.error(value, where, "environment-not-scalar", message, "write it as quoted text")
        elif "\x00" in value.text:
            findings.error(value, where, "environment-nul", f"{where} contains a NUL character", "remove it")
        else:
            environment[name] = secret_or_text(value, _rendered(value, where, findings), where, findings)
            _judge_variable(node.keys[name], name, environment[name], where, findings)
    return environment


def secret_or_text(node: Node, value: str, path: str, findings: DocumentProblems) -> str:
    """Return a value. A reference to a secret is validated, and returned in the form that the boot resolves."""
    if secret_references.is_nearly_reference(value):
        message = f"{path} looks like a reference to a secret, but has no known prefix; it is passed on unchanged"
        fix = "begin a reference with one of " + ", ".join(secret_references.PREFIXES)
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
        message = f"{path} has more than {VARIABLE_BYTES_MAX} bytes with its name, the kernel's limit for a variable"
        findings.error(at, path, "environment-too-long", message, "store it in a file, or in the image")
    if name in _OVERWRITTEN:
        message = f"{path} is overwritten: the agent sets {name}, as Taupage did"
        findings.warning(at, path, "environment-overwritten", message, "remove it, or use another name")


def _rendered(value: ScalarNode, path: str, findings: DocumentProblems) -> str:
    if isinstance(value.value, str):
        return value.value
    rendered = str(value.value)
    if rendered != value.text:
        # a number may be a secret, and messages leave the machine
        shown = rendered if value.value is None or isinstance(value.value, bool) else "another text than in this file"
        message = f"the application will receive {shown}"
        findings.warning(value, path, "environment-rendered", message, "quote the value if that is not intended")
    return rendered


def _port(node: Node, path: str, findings: DocumentProblems) -> tuple[int, Protocol | None] | None:
    match = _PORT.match(node.text) if isinstance(node, ScalarNode) else None
    if match is None or int(match["port"]) > 65535:
        shown = one_line(node.text, 40) if isinstance(node, ScalarNode) else readers.describe(node)
        message = f"{shown} is not a port"
        findings.error(node, path, "port-malformed", message, "write a number from 1 to 65535, optionally /tcp or /udp")
        return None
    protocol = match["protocol"]
    return int(match["port"]), None if protocol is None else ("udp" if protocol == "udp" else "tcp")


def _protocol(
    host: Protocol | None, container: Protocol | None, at: Node, findings: DocumentProblems, path: str
) -> Protocol | None:
    if host is not None and container is not None and host != container:
        message = f"the host port is {host}, but the container port is {container}"
        findings.error(at, path, "port-protocols-differ", message, "use one protocol")
        return None
    return host or container or "tcp"
