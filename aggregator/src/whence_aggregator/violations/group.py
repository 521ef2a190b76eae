"""What a violation is about: a rule, and the group of subjects that one cause breaks it for. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

VERSION, APPLICATION, ACCOUNT, AMI, REPORT = "version", "application", "account", "ami", "report"
GROUP_KINDS = (VERSION, APPLICATION, ACCOUNT, AMI, REPORT)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Group:
    """A rule and its group: an application version, else an application, an account or an AMI.

    What another program reports through fullstop.'s interface is a group of its own: two reports may have two causes.
    """

    rule: str
    kind: str
    subject: str

    @property
    def id(self) -> str:
        """Return the id of the violation, which never changes: it is derived from the rule and the group alone."""
        named = "\n".join((self.rule, self.kind, self.subject))
        return f"v-{hashlib.sha256(named.encode()).hexdigest()[:20]}"

    @property
    def application_id(self) -> str:
        return self.subject.partition("@")[0] if self.kind in (VERSION, APPLICATION) else ""


def group_of_instance(rule: str, *, application_id: str, version: str, account_id: str) -> Group:
    """Return the group of an instance that breaks a rule."""
    if application_id and version:
        return Group(rule=rule, kind=VERSION, subject=f"{application_id}@{version}")
    if application_id:
        return Group(rule=rule, kind=APPLICATION, subject=application_id)
    return Group(rule=rule, kind=ACCOUNT, subject=account_id)
