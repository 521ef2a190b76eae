"""AWS Organizations as the list of the accounts to configure."""

from __future__ import annotations

from collections.abc import Callable

from whence_aggregator.accounts.configuration.organization import ListedAccount
from whence_aggregator.adapters.aws_organization import AwsOrganization
from whence_aggregator.ports import SourceUnavailable

_MESSAGE_CHARACTERS_MAX = 500


def organization_of_accounts(
    *, role_arn: str | None, region: str, endpoint_url: str | None, clock: Callable[[], float]
) -> AwsOrganization:
    """Return the organisation as it is read here: names, states and units, and no tags."""
    return AwsOrganization(
        region=region, role_arn=role_arn, session_name="whence-accounts", owner_tag="",
        endpoint_url=endpoint_url, tags_seconds_max=0.0, clock=clock,
    )  # fmt: skip


async def list_accounts(organization: AwsOrganization) -> list[ListedAccount]:
    """Return all accounts of the organisation, by id. Raises SourceUnavailable where not all could be listed."""
    read = await organization.read()
    if read.withheld:
        message = f"AWS Organizations lists accounts twice: {'; '.join(read.notes)}"
        raise SourceUnavailable("aws-organization-unusable", message[:_MESSAGE_CHARACTERS_MAX])
    found = [
        ListedAccount(
            account_id=one.account_id, name=one.name, status=one.status,
            path=None if "path" in one.unread else one.path,
        )
        for one in read.accounts
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.account_id)
