"""The IAM actions that plans and applies need. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from whence_aggregator.accounts.resources import Json
from whence_aggregator.accounts.step import AccountStep

ALWAYS = ("iam:ListAccountAliases", "sts:GetCallerIdentity")


def actions_of(steps: Iterable[AccountStep], *, writing: bool) -> tuple[str, ...]:
    """Return the actions that reading these steps needs, and writing them as well if asked, sorted."""
    kinds = [kind for step in steps for kind in step.kinds]
    found = {*ALWAYS, *(one for kind in kinds for one in kind.reads)}
    if writing:
        found |= {one for kind in kinds for one in kind.writes}
    return tuple(sorted(found))


def policy_of(steps: Iterable[AccountStep], *, writing: bool) -> Json:
    """Return the IAM policy that allows exactly these actions; resources are not narrowed."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "WhenceAccounts", "Effect": "Allow", "Action": list(actions_of(steps, writing=writing)),
             "Resource": "*"}
        ],
    }  # fmt: skip
