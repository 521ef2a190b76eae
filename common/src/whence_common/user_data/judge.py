"""The whole judgement of user data: bytes in; a UserData, or None, and every problem out. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whence_common import identifiers
from whence_common.digest import sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReference, ImageReferenceInvalid
from whence_common.problems import Problem, has_errors, in_document_order
from whence_common.user_data import readers, strict_yaml
from whence_common.user_data.container import PortMapping, read_environment, read_ports
from whence_common.user_data.envelope import open_envelope
from whence_common.user_data.findings import Findings
from whence_common.user_data.schema import KEYS
from whence_common.user_data.strict_yaml import Mapping, Node, Scalar

HEALTH_CHECK_SECONDS_DEFAULT = 60
_HEALTH_CHECK_SECONDS_MAX = 3600

TagPolicy = Literal["vouched", "not-vouched", "not-allowed", "unknown"]
"""Tags there never move; they may; the registry must not be used; nobody asked the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRules:
    """The platform's word on registries, as far as user data is judged by it."""

    immutable: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    single_segment: frozenset[str] = frozenset()
    platform_known: bool = True
    """False for the offline validator without platform settings: doubts are warnings then."""

    def tags_of(self, registry: str) -> TagPolicy:
        if self.allowed is not None and registry not in self.allowed:
            return "not-allowed"
        if registry in self.immutable:
            return "vouched"
        return "not-vouched" if self.platform_known else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    path: str
    port: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """User data without an error. `document` is the mapping as written, unmasked: it never leaves the machine."""

    digest: str
    application_id: str
    application_version: str
    source: ImageReference
    ports: tuple[PortMapping, ...]
    environment: AnyMapping[str, str] = field(repr=False)
    mint_bucket: str | None
    health_check: HealthCheck | None
    root: bool
    read_only: bool
    document: AnyMapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`user_data` is None exactly when a problem is an error. `document` is what could be read even so."""

    user_data: UserData | None
    document: AnyMapping[str, Any] | None = field(repr=False)
    problems: tuple[Problem, ...]


def judge(raw: bytes, rules: RegistryRules) -> Judgement:
    """Judge raw user data whole. Never raises: what is wrong is in the problems."""
    envelope = open_envelope(raw)
    if envelope.text is None:
        return Judgement(user_data=None, document=None, problems=envelope.problems)
    root, problems = strict_yaml.parse(envelope.text)
    found = [*envelope.problems, *problems]
    if root is None or not isinstance(root, Mapping):
        if not has_errors(found):
            found.append(_not_a_mapping(root))
        return Judgement(user_data=None, document=None, problems=in_document_order(found))
    findings = Findings()
    user_data = _Reading(root, findings, rules).read(sha256_digest(raw))
    found.extend(findings.problems)
    document = strict_yaml.to_python(root)
    if has_errors(found):
        user_data = None
    return Judgement(user_data=user_data, document=document, problems=in_document_order(found))


class _Reading:
    """One document being read. Every reader goes on after a problem, so that all of them are found."""

    def __init__(self, root: Mapping, findings: Findings, rules: RegistryRules) -> None:
        self._root = root
        self._findings = findings
        self._rules = rules

    def read(self, digest: str) -> UserData | None:
        self._general()
        application_id = self._identifier("application_id", identifiers.is_application_id, "pay-api")
        version = self._identifier("application_version", identifiers.is_application_version, "1.2")
        self._runtime()
        source = self._source()
        ports = read_ports(self._get("ports"), self._findings)
        environment = read_environment(self._get("environment"), self._findings)
        health = self._health_check(ports)
        mint_bucket = self._text("mint_bucket")
        root, read_only = self._flag("root"), self._flag("read_only")
        if application_id is None or version is None or source is None:
            return None
        self._version_beside_tag(version, source)
        return UserData(
            digest=digest,
            application_id=application_id,
            application_version=version,
            source=source,
            ports=ports,
            environment=environment,
            mint_bucket=mint_bucket,
            health_check=health,
            root=root,
            read_only=read_only,
            document=strict_yaml.to_python(self._root),
        )

    def _get(self, name: str) -> Node | None:
        node = self._root.entries.get(name)
        return None if node is None or readers.is_null(node) else node

    def _general(self) -> None:
        """Report unknown, pending and retired keys, wrong shapes, and required keys that are not there."""
        for name, node in self._root.entries.items():
            key, at = KEYS.get(name), self._root.keys[name]
            if key is None:
                self._unknown(name, at)
            elif not readers.is_null(node):
                if key.fate != "acted" and not readers.shape_fits(node, key.kind):
                    readers.wrong_shape(node, name, key.kind, self._findings)
                if key.fate == "pending":
                    self._warn(at, "key-not-acted-on", f"{name} is accepted, but not acted on yet", key.summary)
                elif key.fate == "retired":
                    self._warn(at, "key-retired", f"{name} does nothing any more: {key.summary}", "remove it")
                elif key.fate == "platform":
                    self._warn(
                        at,
                        "key-of-platform",
                        f"{name} is set by the platform; this value is ignored",
                        "remove it",
                    )
        for key in KEYS.values():
            if key.required and self._get(key.name) is None:
                fix = f"add {key.name}: … ({key.summary})"
                at_null = self._root.keys.get(key.name)
                self._findings.error(at_null, key.name, "key-missing", f"{key.name} is missing", fix)

    def _warn(self, at: Node, code: str, message: str, fix: str) -> None:
        path = at.text if isinstance(at, Scalar) else ""
        self._findings.warning(at, path, code, message, fix)

    def _unknown(self, name: str, at: Scalar) -> None:
        close = difflib.get_close_matches(name[:100], KEYS, n=1, cutoff=0.8)
        shown = one_line(name, 60)
        fix = f"did you mean {close[0]}?" if close else "keep it if the application reads it, else remove it"
        self._findings.warning(at, shown, "key-unknown", f"{shown} is no key of the schema; it is kept", fix)

    def _text(self, name: str) -> str | None:
        node = self._get(name)
        return None if node is None else readers.text(node, name, self._findings)

    def _flag(self, name: str) -> bool:
        node = self._get(name)
        return node is not None and readers.flag(node, name, self._findings) is True

    def _identifier(self, name: str, accepts: Any, example: str) -> str | None:
        value = self._text(name)
        if value is None or accepts(value):
            return value
        message = f"{name} {one_line(value, 60)!r} has characters that are not allowed, or is too long"
        self._findings.error(
            self._get(name), name, f"{name.replace('_', '-')}-malformed", message, f"write it like {example}"
        )
        return None

    def _runtime(self) -> None:
        value = self._text("runtime")
        if value is not None and value != "Docker":
            message = f"runtime {one_line(value, 40)!r} is unknown"
            self._findings.error(self._get("runtime"), "runtime", "runtime-unknown", message, "write runtime: Docker")

    def _source(self) -> ImageReference | None:
        text, node = self._text("source"), self._get("source")
        if text is None:
            return None
        try:
            reference = ImageReference.parse(text)
        except ImageReferenceInvalid as exc:
            self._findings.error(node, "source", exc.code, exc.message, exc.fix)
            return None
        self._judge_tag(reference, node)
        if "/" not in reference.path and reference.registry not in self._rules.single_segment:
            report = self._findings.error if self._rules.platform_known else self._findings.warning
            report(
                node,
                "source",
                "image-path-single-segment",
                f"{reference.path} has no team before the name",
                f"write {reference.registry}/team/{reference.path}, or let the platform mark the registry",
            )
        return reference

    def _judge_tag(self, reference: ImageReference, node: Node | None) -> None:
        findings, policy = self._findings, self._rules.tags_of(reference.registry)
        if policy == "not-allowed":
            message = f"the platform does not allow images from {reference.registry}"
            fix = "use one of: " + ", ".join(sorted(self._rules.allowed or ()))
            findings.error(node, "source", "image-registry-not-allowed", message, fix)
        by_digest = f"write {reference.repository}@sha256:… with the digest of the image that was tested"
        if reference.moving_tag is not None:
            report = findings.warning if reference.digest is not None else findings.error
            message = f"the tag {reference.moving_tag} may mean another image tomorrow"
            report(node, "source", "image-tag-mutable", message, by_digest)
        elif reference.digest is None and policy in ("not-vouched", "unknown"):
            report = findings.error if policy == "not-vouched" else findings.warning
            message = f"nobody vouches that tags in {reference.registry} never move"
            report(node, "source", "image-tag-not-vouched", message, by_digest)

    def _version_beside_tag(self, version: str, source: ImageReference) -> None:
        if source.tag is not None and source.tag != version:
            message = f"application_version is {version}, but the image's tag is {source.tag}"
            node = self._get("application_version")
            fix = "make the two agree, so that people are not misled"
            self._findings.warning(node, "application_version", "version-differs-from-tag", message, fix)

    def _health_check(self, ports: tuple[PortMapping, ...]) -> HealthCheck | None:
        path = self._text("health_check_path")
        port = self._integer("health_check_port", least=1, most=65535)
        seconds = self._integer("health_check_timeout_seconds", least=1, most=_HEALTH_CHECK_SECONDS_MAX)
        if path is None:
            return None
        node = self._get("health_check_path")
        if not path.startswith("/") or " " in path or len(path) > 1024 or not path.isprintable():
            self._findings.error(
                node,
                "health_check_path",
                "health-check-path-malformed",
                "the path is no URL path",
                "write it like /health",
            )
            return None
        if port is None:
            port = min((mapping.host for mapping in ports if mapping.protocol == "tcp"), default=None)
        if port is None:
            self._findings.warning(
                node,
                "health_check_path",
                "health-check-without-port",
                "no TCP port is published, so health is not checked",
                "add ports, or health_check_port",
            )
            return None
        return HealthCheck(path=path, port=port, timeout_seconds=seconds or HEALTH_CHECK_SECONDS_DEFAULT)

    def _integer(self, name: str, *, least: int, most: int) -> int | None:
        node = self._get(name)
        return None if node is None else readers.integer(node, name, self._findings, least=least, most=most)


def _not_a_mapping(root: Node | None) -> Problem:
    what = "is empty" if root is None or readers.is_null(root) else f"is {readers.describe(root)}"
    return Problem(
        severity="error",
        code="user-data-not-mapping",
        line=root.line if root is not None else 1,
        column=root.column if root is not None else 1,
        path="",
        message=f"user data must be a mapping of keys to values, but {what}",
        fix="write lines like application_id: pay-api",
    )
