"""The account's DNS zone, and its delegation in the parent zone of the admin account.

The TTL of the SOA record is an aspect of the zone: it belongs to whom the zone belongs to. DNS records have no tags. So
a delegation counts as ours if it leads to the name servers of our own zone; any other is changed only by `--adopt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.domains import parse_domain
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of, own_tags
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


def stated(found: FoundAccount) -> StatedSection:
    """Return the domain of our own public zone, or of the only one; nothing where it is not clear which is meant."""
    zones = found.of(ZONE.name)
    chosen = [one for one in zones if one.is_own] or zones
    if len(chosen) != 1:
        names = ", ".join(sorted(one.name for one in zones))
        text = f"domain: a configuration states one public zone, and there are several: {names}"
        return StatedSection(notes=(ImportNote(key="domain", text=text),) if zones else ())
    (zone,) = chosen
    notes = [f"the public zone {one.name}: a configuration states one" for one in zones if one is not zone]
    tags = zone.state["tags"]
    if isinstance(tags, Mapping) and (admin := tags.get(DELEGATED_IN_TAG)):
        notes.append(f"admin_account: account {admin} delegates {zone.name}; state it with its name")
    else:
        notes.append(f"admin_account: which account delegates {zone.name} is not known in this one")
    section: dict[str, Json] = {"domain": zone.name, "domain_soa_ttl": zone.state["soa_ttl"]}
    return StatedSection(section=section, notes=tuple(ImportNote(key="domain", text=one) for one in notes))


STEP = AccountStep(
    name="dns", summary="the DNS zone and its delegation", kinds=(ZONE, DELEGATION), wanted=wanted, stated=stated,
)  # fmt: skip
