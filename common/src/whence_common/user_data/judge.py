"""Validate a whole document of user data: from bytes to a UserData, or None, and every problem. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_common import identifiers
from whence_common.digest import sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReference
from whence_common.problems import Problem, has_errors, in_document_order
from whence_common.user_data import nodes, readers, secret_references, strict_yaml
from whence_common.user_data.agreement import APPLICATION, Together, judge_together
from whence_common.user_data.envelope import open_envelope
from whence_common.user_data.findings import DocumentProblems
from whence_common.user_data.host import HostSettings, read_host
from whence_common.user_data.images import read_source
from whence_common.user_data.lifecycle import (
    HealthCheck,
    LifecycleHooks,
    LoadBalancer,
    OnFailure,
    Shutdown,
    StackResource,
    read_health_check,
    read_lifecycle_hooks,
    read_load_balancer,
    read_on_failure,
    read_shutdown,
    read_stack_resource,
)
from whence_common.user_data.limits import NR_OPEN
from whence_common.user_data.log_plan import LogPlan, read_log_plan
from whence_common.user_data.nodes import MappingNode, Node
from whence_common.user_data.options import ContainerOptions, read_options
from whence_common.user_data.platform import PlatformRules, effective
from whence_common.user_data.section import Section
from whence_common.user_data.sign_in import read_sign_in
from whence_common.user_data.storage import Storage, read_storage
from whence_common.user_data.tokens import TokenSource, read_tokens

SIDECARS_MAX = 10
_SIDECAR_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")
SECRET_REFERENCES = secret_references.PREFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    name: str
    source: ImageReference
    options: ContainerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """Valid user data. `document` is the effective configuration, not masked: it never leaves the machine."""

    digest: str
    application_id: str
    application_version: str
    source: ImageReference
    options: ContainerOptions
    sidecars: tuple[Sidecar, ...] = ()
    sign_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    mint_bucket: str | None = None
    """None also if token_source states that no secret is read."""
    tokens: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    token_source: TokenSource = "client"  # noqa: S105 - no secret
    encryption_context: Mapping[str, str] = field(default_factory=dict)
    health_check: HealthCheck | None = None
    load_balancer: LoadBalancer | None = None
    stack_resource: StackResource | None = None
    lifecycle_hooks: LifecycleHooks | None = None
    start: bool = True
    shutdown: Shutdown = "never"
    on_failure: OnFailure | None = None
    storage: Storage = field(default_factory=Storage)
    logs: LogPlan = field(default_factory=LogPlan)
    host: HostSettings = field(default_factory=HostSettings)
    cloudwatch_metrics: bool = False
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The keys for announcing the boot's outcome; they are read even if user data is refused for another reason."""

    stack_resource: StackResource | None = None
    lifecycle_hooks: LifecycleHooks | None = None
    on_failure: OnFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The result. `user_data` is None if any problem is an error. `document` is the parsed document as written."""

    user_data: UserData | None
    document: Mapping[str, Any] | None = field(repr=False)
    problems: tuple[Problem, ...]
    lines: list[str] = field(repr=False)
    announcement: Announcement = field(default_factory=Announcement)


def judge(raw: bytes, rules: PlatformRules) -> Judgement:
    """Validate raw user data. Raises nothing; errors are in the result's problems."""
    envelope = open_envelope(raw)
    found = list(envelope.problems)
    root: MappingNode | None = None
    for part in envelope.parts:
        node, problems = strict_yaml.parse(part.text, first_line=part.first_line)
        found.extend(problems)
        if isinstance(node, MappingNode):
            root = node if root is None else root.updated(node)
        elif not has_errors(found):
            found.append(_not_a_mapping(node, part.first_line))
    if root is None:
        return Judgement(user_data=None, document=None, problems=in_document_order(found), lines=envelope.lines)
    document = nodes.to_python(root)
    findings = DocumentProblems()
    section = Section(root.with_defaults(rules.defaults), findings)
    announcement = Announcement(
        stack_resource=read_stack_resource(section),
        lifecycle_hooks=read_lifecycle_hooks(section),
        on_failure=read_on_failure(section),
    )
    user_data = _read(section, rules, announcement, sha256_digest(raw), document)
    found.extend(findings.problems)
    return Judgement(
        user_data=None if has_errors(found) else user_data,
        document=document,
        problems=in_document_order(found),
        lines=envelope.lines,
        announcement=announcement,
    )


def _read(
    root: Section, rules: PlatformRules, announcement: Announcement, digest: str, document: Mapping[str, Any]
) -> UserData | None:
    """Read every key. Readers report problems and continue, so that all problems are found."""
    application_id = _identifier(root, "application_id", identifiers.is_application_id, "pay-api")
    version = _identifier(root, "application_version", identifiers.is_application_version, "1.2")
    _runtime(root)
    host, storage = read_host(root, rules), read_storage(root)
    nofile_max = host.number("fs.nr_open", NR_OPEN)
    source, options = read_source(root, rules), read_options(root, rules, _declared(root), nofile_max=nofile_max)
    sidecars = _sidecars(root, rules, nofile_max)
    containers = {APPLICATION: options, **{one.name: one.options for one in sidecars}}
    judge_together(root, Together(containers=containers, mounts=storage.mounts, host=host), rules)
    wanted = read_tokens(root)
    parts: dict[str, Any] = {
        "sidecars": sidecars,
        "sign_in": read_sign_in(root),
        "mint_bucket": wanted.bucket,
        "tokens": wanted.scopes,
        "token_source": wanted.source,
        "encryption_context": _texts_by_name(root, "encryption_context"),
        "health_check": read_health_check(root, options.ports),
        "load_balancer": read_load_balancer(root),
        "stack_resource": announcement.stack_resource,
        "lifecycle_hooks": announcement.lifecycle_hooks,
        "start": root.flag("start", default=True),
        "shutdown": read_shutdown(root),
        "on_failure": announcement.on_failure,
        "storage": storage,
        "logs": read_log_plan(root, application_id or ""),
        "host": host,
        "cloudwatch_metrics": root.soft_flag("enhanced_cloudwatch_metrics"),
    }
    root.text("deployment_id")
    if application_id is None or version is None or source is None:
        return None
    _version_beside_tag(root, version, source)
    configuration = effective(defaults=rules.defaults, platform=rules.values, user_data=document)
    return UserData(
        digest=digest,
        application_id=application_id,
        application_version=version,
        source=source,
        options=options,
        document=configuration,
        **parts,
    )


def _identifier(root: Section, name: str, accepts: Callable[[str], bool], example: str) -> str | None:
    value = root.text(name)
    if value is None or accepts(value):
        return value
    message = f"{name} {readers.quotable(name, value, 60)!r} has characters that are not allowed, or is too long"
    root.error(name, f"{name.replace('_', '-')}-malformed", message, f"write it like {example}")
    return None


def _runtime(root: Section) -> None:
    value = root.text("runtime")
    if value is not None and value != "Docker":
        message = f"runtime {readers.quotable('runtime', value, 40)!r} is unknown"
        root.error("runtime", "runtime-unknown", message, "write runtime: Docker")


def _version_beside_tag(root: Section, version: str, source: ImageReference) -> None:
    if source.tag is not None and source.tag != version:
        message = f"application_version is {version}, but the image's tag is {source.tag}"
        fix = "use the same version in both"
        root.warning("application_version", "version-differs-from-tag", message, fix)


def _sidecars(root: Section, rules: PlatformRules, nofile_max: int) -> tuple[Sidecar, ...]:
    section = root.section("containers")
    if section is None:
        return ()
    read = []
    if len(section.node.entries) > SIDECARS_MAX:
        section.error("", "containers-too-many", f"there are more than {SIDECARS_MAX} containers", "use fewer")
    for name, sidecar in section.sections():
        if not _SIDECAR_NAME.match(name):
            section.error(name, "container-name-malformed", f"{one_line(name, 40)!r} is not a container name",
                          "use lower-case letters, digits and -")  # fmt: skip
        elif name == APPLICATION:
            section.error(name, "container-name-taken", f"{name} is reserved for the application", "use another name")
        source = read_source(sidecar, rules)
        options = read_options(sidecar, rules, _declared(root), nofile_max=nofile_max)
        if source is not None:
            read.append(Sidecar(name=name, source=source, options=options))
    return tuple(read)


def _declared(root: Section) -> tuple[str, ...]:
    """Return the names of the sidecars; an empty tuple if `containers` is malformed."""
    node = root.get("containers")
    return tuple(node.entries) if isinstance(node, MappingNode) else ()


def _texts_by_name(root: Section, name: str) -> dict[str, str]:
    section = root.section(name)
    if section is None:
        return {}
    read = {key: section.text(key) for key in section.node.entries}
    return {key: value for key, value in read.items() if value is not None}


def _not_a_mapping(root: Node | None, first_line: int) -> Problem:
    what = "is empty" if root is None or readers.is_null(root) else f"is {readers.describe(root)}"
    return Problem(
        severity="error",
        code="user-data-not-mapping",
        line=root.line if root is not None else first_line,
        column=root.column if root is not None else 1,
        path="",
        message=f"user data must be a mapping of keys to values, but {what}",
        fix="write lines like application_id: pay-api",
    )
