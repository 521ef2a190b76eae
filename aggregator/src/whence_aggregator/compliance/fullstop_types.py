"""The violation types of fullstop., and the rules that take their place. Data, and which type a rule has.

Types without a rule are those of cloud posture, which scanners' findings report, or were never raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

SEVERITY_SERVED_OF = 5
"""fullstop. counts from 0, low, to 4, worst: it is served this less our severity, which is from 1, worst, to 4."""

FULLSTOP_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "WRONG_AMI": ("ami-untrusted", "ami-unknown"),
    "OUTDATED_TAUPAGE": ("ami-expired", "ami-deregistered"),
    "EC2_WITH_KEYPAIR": ("ssh-keypair-used",),
    "WRONG_REGION": ("wrong-region",),
    "EC2_RUN_IN_PUBLIC_SUBNET": (),
    "MISSING_USER_DATA": ("user-data-missing",),
    "MISSING_APPLICATION_ID_IN_USER_DATA": ("application-id-missing",),
    "MISSING_SOURCE_IN_USER_DATA": ("user-data-source-missing",),
    "APPLICATION_NOT_PRESENT_IN_KIO": ("application-unregistered",),
    "IMAGE_IN_PIERONE_NOT_FOUND": ("image-not-found", "image-registry-not-trusted"),
    "SCM_SOURCE_JSON_MISSING": ("source-missing",),
    "SCM_URL_IS_MISSING_IN_SCM_SOURCE_JSON": ("source-missing",),
    "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY": ("source-dirty",),
    "ILLEGAL_SCM_REPOSITORY": ("scm-host-or-owner-not-allowed",),
    "SCM_URL_IS_MISSING_IN_KIO": ("scm-url-not-match-with-kio",),
    "SCM_URL_NOT_MATCH_WITH_KIO": ("scm-url-not-match-with-kio",),
    "EC2_WITH_A_SNAPSHOT_IMAGE": ("image-mutable",),
    "MODIFIED_ROLE_OR_SERVICE": (),
    "LAMBDA_FUNCTION_CREATED_FROM_UNTRUSTED_LOCATION": (),
    "UNSECURED_PUBLIC_ENDPOINT": (),
    "ACTIVE_KEY_TOO_OLD": (),
    "PASSWORD_USED": (),
    "UNSECURED_ROOT_USER": (),
    "CROSS_ACCOUNT_ROLE": (),
    "MISSING_VERSION_APPROVAL": ("version-not-approved",),
    "APPLICATION_VERSION_NOT_PRESENT_IN_KIO": (),
    "APPLICATION_VERSION_DOES_NOT_HAVE_A_VALID_ARTIFACT": (),
    "MISSING_APPLICATION_VERSION_IN_USER_DATA": ("application-version-missing",),
    "SPEC_URL_IS_MISSING_IN_KIO": ("spec-url-missing",),
    "SPEC_TYPE_IS_MISSING_IN_KIO": (),
    "MISSING_SPEC_LINKS": ("ticket-missing",),
})  # fmt: skip

REPORTED = "reported/"
"""Begins the rule of a violation that another program reported; its type follows."""
_BY_RULE = {rule: name for name, rules in reversed(list(FULLSTOP_TYPES.items())) for rule in rules}
"""Of several types of one rule, the first."""
_OF_NO_TYPE = re.compile(r"[^A-Z0-9]")


def type_of_rule(rule: str) -> str:
    """Return the id of the type that a rule's violations are served with."""
    return _BY_RULE.get(rule) or (
        rule.removeprefix(REPORTED) if rule.startswith(REPORTED) else _OF_NO_TYPE.sub("_", rule.upper())
    )


CATALOGUE_NAMES: Mapping[str, str] = MappingProxyType({
    "instance-without-agent": "agent-silent",
    "instance-unknown-to-cloud": "instance-unlisted",
    "user-data-drift": "user-data-changed",
    "running-image-drift": "image-mutable",
    "undeclared-container": "drift",
    "image-not-by-digest": "image-mutable",
    "image-tag-moved": "image-mutable",
    "scm-source-missing": "source-missing",
    "dirty-build": "source-dirty",
    "commit-not-on-default-branch": "commit-unmerged",
    "commit-without-ticket": "ticket-missing",
    "app-not-in-kio": "application-unregistered",
    "app-inactive": "application-inactive",
})  # fmt: skip
"""Names of the catalogue of fullstop.'s rules whose rule has another id here."""
