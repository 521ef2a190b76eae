"""The grammars of identifiers: applications, versions, accounts, instances, regions, roles, commits."""

from __future__ import annotations

import re

APPLICATION_ID = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]\Z")
"""The pattern of STUPS's Kio: two characters or more."""
APPLICATION_ID_CHARACTERS_MAX = 120
APPLICATION_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
APPLICATION_VERSION_CHARACTERS_MAX = 128
ACCOUNT_ID = re.compile(r"[0-9]{12}\Z")
INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?\Z")
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,9}){1,3}-[0-9]{1,2}\Z")
ROLE_ARN = re.compile(r"arn:aws[a-z-]{0,10}:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,600}\Z")
PRODUCT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
"""The name of a scanner, as findings are listed by it."""
COMMIT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


def is_application_id(text: str) -> bool:
    return len(text) <= APPLICATION_ID_CHARACTERS_MAX and APPLICATION_ID.match(text) is not None


def is_application_version(text: str) -> bool:
    return len(text) <= APPLICATION_VERSION_CHARACTERS_MAX and APPLICATION_VERSION.match(text) is not None
