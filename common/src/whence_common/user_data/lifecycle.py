"""Health checks, announcements of the boot's outcome, and shutdown in user data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from whence_common.user_data.container import PortMapping
from whence_common.user_data.section import Section

Shutdown = Literal["never", "on-exit", "on-success"]
OnFailure = Literal["hold", "terminate", "unhealthy", "retry"]
HEALTH_CHECK_SECONDS_DEFAULT = 60
_HEALTH_CHECK_SECONDS_MAX = 3600
_TARGET_GROUP = re.compile(
    r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]+\Z"
)
_LOAD_BALANCER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\Z")
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}\Z")
_RESOURCE = re.compile(r"[A-Za-z0-9]{1,255}\Z")
_HOOK = re.compile(r"[A-Za-z0-9_/-]{1,255}\Z")
_GROUP = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,255}\Z")
"""AWS accepts any printable text as the name of an Auto Scaling group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    path: str
    port: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A classic load balancer by name, or a target group by ARN."""

    kind: Literal["classic", "target-group"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResource:
    stack: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleHooks:
    group: str
    launching: str | None
    terminating: str | None


def read_health_check(root: Section, ports: tuple[PortMapping, ...]) -> HealthCheck | None:
    """Return the health check, or None. Its port is by default the lowest published TCP port."""
    path = root.text("health_check_path")
    port = root.integer("health_check_port", least=1, most=65535)
    seconds = root.integer("health_check_timeout_seconds", least=1, most=1_000_000)
    if seconds is not None and seconds > _HEALTH_CHECK_SECONDS_MAX:
        message = f"a boot waits at most {_HEALTH_CHECK_SECONDS_MAX} seconds for health"
        root.warning("health_check_timeout_seconds", "health-check-capped", message, "write a lower number")
        seconds = _HEALTH_CHECK_SECONDS_MAX
    if path is None:
        return None
    if not path.startswith("/") or " " in path or len(path) > 1024 or not path.isprintable():
        root.error(
            "health_check_path", "health-check-path-malformed", "the path is not a URL path", "write it like /health"
        )
        return None
    if port is None:
        port = min((mapping.host for mapping in ports if mapping.protocol == "tcp"), default=None)
    if port is None:
        root.warning(
            "health_check_path",
            "health-check-without-port",
            "no TCP port is published, so health is not checked",
            "add ports, or health_check_port",
        )
        return None
    return HealthCheck(path=path, port=port, timeout_seconds=seconds or HEALTH_CHECK_SECONDS_DEFAULT)


def read_load_balancer(root: Section) -> LoadBalancer | None:
    section = root.section("healthcheck")
    if section is None:
        return None
    kind = section.choice("type", "elb", "alb", "target-group", "none")
    name, arn = section.text("loadbalancer_name"), section.text("target_group_arn")
    if kind == "elb":
        if name is None:
            section.error("", "load-balancer-name-missing", "healthcheck.type elb needs loadbalancer_name", "add it")
            return None
        if not _LOAD_BALANCER.match(name):
            message = "the name of a classic load balancer has at most 32 letters, digits and -"
            section.error("loadbalancer_name", "load-balancer-name-malformed", message, "copy only the name")
            return None
        return LoadBalancer(kind="classic", name=name)
    if kind in ("alb", "target-group"):
        if arn is None or not _TARGET_GROUP.match(arn):
            fix = "write arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID"
            section.error(
                "target_group_arn", "target-group-malformed", f"healthcheck.type {kind} needs target_group_arn", fix
            )
            return None
        return LoadBalancer(kind="target-group", name=arn)
    return None


def read_stack_resource(root: Section) -> StackResource | None:
    """Return the stack's resource in `notify_cfn`; None, with a warning, if only one of its keys is set."""
    section = root.section("notify_cfn")
    if section is None:
        return None
    stack, resource = section.text("stack"), section.text("resource")
    if stack is None or resource is None:
        section.warning(
            "", "notify-cfn-incomplete", "notify_cfn needs stack and resource; nothing is signalled", "add both"
        )
        return None
    if not _STACK.match(stack) and not stack.startswith("arn:aws"):
        section.warning("stack", "stack-malformed", "notify_cfn.stack is not a stack name", "use letters, digits and -")
    if not _RESOURCE.match(resource):
        message = "notify_cfn.resource is not a logical resource id"
        section.warning("resource", "resource-malformed", message, "use letters and digits")
    return StackResource(stack=stack, resource=resource)


def read_lifecycle_hooks(root: Section) -> LifecycleHooks | None:
    section = root.section("lifecycle_hook")
    if section is None:
        return None
    group, launching, terminating = (section.text(name) for name in ("group", "launching", "terminating"))
    for name, value in (("group", group), ("launching", launching), ("terminating", terminating)):
        if value is not None and not (_GROUP if name == "group" else _HOOK).match(value):
            section.error(name, "name-malformed", f"{section.name_of(name)} is not a valid name", "copy it from AWS")
    if group is None or (launching is None and terminating is None):
        section.error(
            "", "lifecycle-hook-incomplete", "lifecycle_hook needs group, and launching or terminating", "add them"
        )
        return None
    return LifecycleHooks(group=group, launching=launching, terminating=terminating)


def read_shutdown(root: Section) -> Shutdown:
    value = root.choice("shutdown", "never", "on-exit", "on-success")
    if value == "on-exit":
        return "on-exit"
    return "on-success" if value == "on-success" else "never"


def read_on_failure(root: Section) -> OnFailure | None:
    value = root.choice("on_failure", "hold", "terminate", "unhealthy", "retry")
    if value == "terminate":
        return "terminate"
    if value == "unhealthy":
        return "unhealthy"
    if value == "retry":
        return "retry"
    return "hold" if value == "hold" else None
