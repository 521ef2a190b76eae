"""The section of one account, with the global section's keys where the account does not state them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from whence_aggregator.accounts.configuration.access import Access
from whence_aggregator.accounts.configuration.certificates import CertificateSettings
from whence_aggregator.accounts.configuration.images import AmiSharing, BaseAmi


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[0-9]{12}$", description="The account's id, 12 digits in quotes.")]
    alias: Annotated[str | None, Meta(description="Alias of the account; `{account_name}` is replaced.")] = (
        "{account_name}"
    )
    regions: Annotated[tuple[str, ...], Meta(min_length=1, max_length=40, description="Regions that are configured.")]
    admin_account: Annotated[str | None, Meta(description="Name of the account with the parent zone.")] = None
    access: Access = field(default_factory=Access)
    domain: Annotated[
        str | None,
        Meta(description="Domain of the account's DNS zone; `{account_name}` is replaced; empty: no zone."),
    ] = None
    domain_soa_ttl: Annotated[
        int, Meta(ge=0, le=2_147_483_647, description="TTL of the zone's SOA record, in seconds.")
    ] = 60
    acm: Annotated[
        CertificateSettings | tuple[CertificateSettings, ...] | None,
        Meta(description="Certificates that are requested in every region: one, or a list."),
    ] = None
    base_ami: Annotated[BaseAmi | None, Meta(description="Base images of version 10; shared if not public.")] = None
    ami_sharing: Annotated[
        AmiSharing | None, Meta(description="Images of another account that are shared with this one.")
    ] = None
    service_limits: Annotated[
        Literal["report"] | None, Meta(description="report: service quotas and their use are reported.")
    ] = None
