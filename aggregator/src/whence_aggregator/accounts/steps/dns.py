"""The account's DNS zone, and its delegation in the parent zone of the admin account.

The TTL of the SOA record is an aspect of the zone: it belongs to whom the zone belongs to. DNS records have no tags. So
a delegation counts as ours if it leads to the name servers of our own zone; any other is changed only by `--adopt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.domains import parse_domain
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, of, own_tags
from whence_aggregator.accounts.step import AccountStep

DELEGATION_SECONDS = 7200
DELEGATED_IN_TAG = "whence:delegated-in"
"""Id of the account whose zone delegates ours, so that a delegation is found when the domain is configured no more."""
_READS = (
    "route53:ListHostedZones", "route53:ListTagsForResources", "route53:GetHostedZone",
    "route53:ListResourceRecordSets",
)  # fmt: skip

ZONE = ResourceKind(
    name="zone", step="dns", reads=_READS, keeps_data=True,
    writes=(
        "route53:CreateHostedZone", "route53:ChangeTagsForResource", "route53:ChangeResourceRecordSets",
        "route53:DeleteHostedZone",
    ),
)  # fmt: skip
DELEGATION = ResourceKind(
    name="delegation", step="dns", reads=_READS, writes=("route53:ChangeResourceRecordSets",), after=("zone",),
    keeps_data=True,
)  # fmt: skip
"""Named ADMIN_ACCOUNT_ID/DOMAIN. Reads and writes in the admin account too."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    if account.settings.domain is None:
        return ()
    domain = parse_domain(account.settings.domain, key=f"accounts.{account.name}.domain")
    admin = account.admin_account_id
    tags = own_tags(tags={DELEGATED_IN_TAG: admin} if admin is not None else None)
    zone = WantedResource(kind=ZONE, name=domain, state={"tags": tags, "soa_ttl": account.settings.domain_soa_ttl})
    if admin is None:
        return (zone,)
    record = {"name_servers": of(zone.address, "name_servers"), "ttl": DELEGATION_SECONDS}
    return zone, WantedResource(kind=DELEGATION, name=delegation_name(admin, domain), state={"record": record})


def delegation_name(admin_account_id: str, domain: str) -> str:
    return f"{admin_account_id}/{domain}"


def stated(standing: Sequence[StandingResource]) -> Mapping[str, Json]:
    """Return the domain of our own public zone, or of the only one; nothing where it is not clear which is meant."""
    zones = [one for one in standing if one.kind is ZONE]
    found = [one for one in zones if one.is_own] or zones
    if len(found) != 1:
        return {}
    return {"domain": found[0].name, "domain_soa_ttl": found[0].state["soa_ttl"]}


STEP = AccountStep(
    name="dns", summary="the DNS zone and its delegation", kinds=(ZONE, DELEGATION), wanted=wanted, stated=stated,
    not_stated="admin_account, whose zone delegates the domain, and the domain of an account with several zones",
)  # fmt: skip
