"""A finding as its scanner stated it: whatever the format, one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from whence_common.errors import InputError

Result = Literal["pass", "fail", "unknown", "manual"]
Format = Literal["ocsf", "asff", "sarif"]
FORMATS: tuple[Format, ...] = ("ocsf", "asff", "sarif")
CRITICAL, HIGH, MEDIUM, LOW = 1, 2, 3, 4
"""Severities, as rules have them: 1 is the highest."""
UNKNOWN_SEVERITY = MEDIUM


class FindingRefused(InputError):
    """One finding that cannot be taken; the others of its file can. `field` is the path of what is wrong."""

    def __init__(self, code: str, field: str, message: str, *, uid: str = "") -> None:
        super().__init__(code, f"{field}: {message}" if field else message)
        self.field = field
        self.uid = uid


class FileRefused(InputError):
    """The file is not one of findings, or breaks off; what was read before stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a finding is about. Each field is empty where the scanner does not state it."""

    account_id: str = ""
    region: str = ""
    instance_id: str = ""
    image_digest: str = ""
    """The digest of a manifest or of an index, never the id of a configuration."""
    application_id: str = ""
    name: str = ""
    """The ARN, else the name that the scanner has for it."""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of one resource. Account, product and `uid` identify it over all reports."""

    product: str
    uid: str
    check_id: str
    title: str
    severity: int
    result: Result
    resource: Resource
    observed_at: str
    """When the scanner saw it last."""
    first_seen: str = ""
    """When the scanner saw it first; empty where it does not state that."""
    suppressed: bool = False
    """Whether it was muted in the scanner. That is shown, and exempts nothing here."""
    closed: bool = False
    """Whether the scanner states that it is resolved, archived or deleted."""
    vulnerability: bool = False
    detail: str = ""
    remedy: str = ""
    references: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what identifies it. The account is part of it: no scanner of one can replace a finding of another."""
        return self.resource.account_id, self.product, self.uid

    def to_wire(self) -> dict[str, Any]:
        """Return the finding for an entry, which states account and product itself. What is empty is left out."""
        resource = self.resource
        stated: dict[str, Any] = {
            "uid": self.uid, "check_id": self.check_id, "title": self.title, "severity": self.severity,
            "result": self.result, "observed_at": self.observed_at, "first_seen": self.first_seen,
            "suppressed": self.suppressed, "closed": self.closed, "vulnerability": self.vulnerability,
            "region": resource.region, "instance_id": resource.instance_id, "image_digest": resource.image_digest,
            "application_id": resource.application_id, "resource": resource.name, "resource_type": resource.kind,
            "detail": self.detail, "remedy": self.remedy, "references": list(self.references),
        }  # fmt: skip
        return {name: value for name, value in stated.items() if value not in ("", False, [])}
