"""Sources of the organisation in the settings."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from whence_common.identifiers import REGION, ROLE_ARN
from whence_common.image_reference import is_loopback_registry


class AwsOrganizationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AWS Organizations, read with a role that may list it."""

    role_arn: str | None = None
    """Role that is assumed for it; None is the aggregator's own."""
    owner_tag: str = "team"
    """Key of the accounts' tag whose value is the owning team."""
    tags: list[str] = []
    """Keys of further tags that are kept."""
    region: str = "us-east-1"
    """Region of the partition's endpoint: cn-northwest-1 and us-gov-west-1 in the others."""
    session_name: str = "whence-aggregator"
    seconds: float = 3600.0
    """How often it is read."""


class TeamServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """STUPS's team service: URL/teams, URL/teams/{id} and URL/accounts/aws are read."""

    url: str
    token_file: str | None = None
    """File with the bearer token that it is shown; read again each time."""
    seconds: float = 900.0


class GroupsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Groups in verified tokens of people, mapped to teams as `sign_in` says."""

    days: int | None = None
    """After how many days without a token that names it a team is gone; None is never."""
    seconds: float = 60.0
    """How often what tokens named is recorded."""


class OrganisationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where teams and accounts are stated."""

    file: str | None = None
    """YAML file with teams, accounts and allowances."""
    file_seconds: float = 60.0
    """How often it is read."""
    aws: AwsOrganizationSettings | None = None
    team_service: TeamServiceSettings | None = None
    groups: GroupsSettings | None = None


def wrong_in_organisation(found: OrganisationSettings) -> list[str]:
    """Return what is wrong, each with its place."""
    wrong = []
    if found.file is None and found.aws is None and found.team_service is None and found.groups is None:
        wrong.append("organisation names no source: set file, aws, team_service or groups")
    times = {"file_seconds": found.file_seconds}
    if found.aws is not None:
        times["aws.seconds"] = found.aws.seconds
        wrong += _wrong_in_aws(found.aws)
    if found.team_service is not None:
        times["team_service.seconds"] = found.team_service.seconds
        wrong += _wrong_in_team_service(found.team_service)
    if found.groups is not None:
        times["groups.seconds"] = found.groups.seconds
        if found.groups.days is not None and not 1 <= found.groups.days <= 3_650:
            wrong.append("organisation.groups.days must be from 1 to 3650")
    return wrong + [
        f"organisation.{name} must be from 10 to 86400"
        for name, seconds in times.items()
        if not 10 <= seconds <= 86_400
    ]


def _wrong_in_aws(aws: AwsOrganizationSettings) -> list[str]:
    wrong = []
    if aws.role_arn is not None and not ROLE_ARN.match(aws.role_arn):
        wrong.append("organisation.aws.role_arn is not an ARN of a role")
    if not REGION.match(aws.region):
        wrong.append("organisation.aws.region is not a region")
    if not re.fullmatch(r"[A-Za-z0-9+=,.@_-]{2,64}", aws.session_name):
        wrong.append("organisation.aws.session_name must be 2 to 64 letters, digits or +=,.@_-")
    if not 0 < len(aws.owner_tag) <= 128:
        wrong.append("organisation.aws.owner_tag must have 1 to 128 characters")
    if len(aws.tags) > 50 or not all(0 < len(one) <= 128 for one in aws.tags):
        wrong.append("organisation.aws.tags must be at most 50 keys of 1 to 128 characters")
    return wrong


def _wrong_in_team_service(service: TeamServiceSettings) -> list[str]:
    parts = urlsplit(service.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return ["organisation.team_service.url must be an http or https URL without a user"]
    if service.token_file is not None and parts.scheme == "http" and not is_loopback_registry(parts.netloc):
        return ["organisation.team_service.token_file with http would show the token to everybody on the way"]
    return []
