"""IAM of the whole account: SAML providers, the password policy, outbound web identity, and the root user."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of, own_tags
from whence_aggregator.accounts.saml import metadata_form, url_of
from whence_aggregator.accounts.step import AccountStep

SAML_PROVIDER = ResourceKind(
    name="saml-provider", step="identity", reads=("iam:GetSAMLProvider", "iam:ListSAMLProviders"),
    writes=(
        "iam:CreateSAMLProvider", "iam:DeleteSAMLProvider", "iam:TagSAMLProvider", "iam:UpdateSAMLProvider",
    ),
)  # fmt: skip
SAML_METADATA = ResourceKind(name="saml-metadata", step="identity", reads=(), writes=(), is_setting=True)
"""A document at a URL. It is only read, so that a plan contains what its apply writes."""
PASSWORD_POLICY = ResourceKind(
    name="password-policy", step="identity", reads=("iam:GetAccountPasswordPolicy",),
    writes=("iam:UpdateAccountPasswordPolicy",), is_setting=True,
)  # fmt: skip
OUTBOUND_WEB_IDENTITY = ResourceKind(
    name="outbound-web-identity", step="identity", reads=("iam:GetOutboundWebIdentityFederationInfo",),
    writes=("iam:EnableOutboundWebIdentityFederation",), is_setting=True,
)  # fmt: skip
ROOT_USER = ResourceKind(
    name="root-user", step="identity", reads=("iam:GetAccountSummary",), writes=(), is_setting=True
)
"""Only looked at: no call of an account's role can protect its root user."""
_ACCOUNT = "account"


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return SAML providers and settings. Raises InputError for metadata that is not XML."""
    settings = account.settings
    found: list[WantedResource] = []
    urls: list[str] = []
    for name, metadata in settings.saml_providers.items():
        if metadata is None:
            continue
        key = f"accounts.{account.name}.saml_providers.{name}"
        document: Json
        if (url := url_of(metadata, key)) is not None:
            urls.append(url)
            document = of(f"{SAML_METADATA.name}/{url}", "xml")
        else:
            document = metadata_form(metadata, key)
        found.append(WantedResource(kind=SAML_PROVIDER, name=name, state={"metadata": document, "tags": own_tags()}))
    found += [WantedResource(kind=SAML_METADATA, name=one, state={}) for one in dict.fromkeys(urls)]
    if settings.password_policy is not None:
        rules = msgspec.to_builtins(settings.password_policy)
        found.append(WantedResource(kind=PASSWORD_POLICY, name=_ACCOUNT, state={"rules": rules}))
    if settings.outbound_web_identity:
        found.append(WantedResource(kind=OUTBOUND_WEB_IDENTITY, name=_ACCOUNT, state={"enabled": True}))
    if settings.check_root_user:
        found.append(WantedResource(kind=ROOT_USER, name=_ACCOUNT, state={}))
    return found


def stated(found: FoundAccount) -> StatedSection:
    """Return SAML providers, the password policy and outbound web identity as a configuration states them."""
    settings = {one.kind.name: one for one in found.of(PASSWORD_POLICY.name, OUTBOUND_WEB_IDENTITY.name)}
    rules, outbound = settings.get(PASSWORD_POLICY.name), settings.get(OUTBOUND_WEB_IDENTITY.name)
    section: dict[str, Json] = {
        "saml_providers": {one.name: one.state["metadata"] for one in found.of(SAML_PROVIDER.name)},
        "password_policy": rules.state["rules"] if rules is not None else None,
        "outbound_web_identity": True if outbound is not None and outbound.state["enabled"] else None,
    }
    return StatedSection(section=section)


STEP = AccountStep(
    name="identity", summary="SAML providers, the password policy, outbound web identity, and the root user",
    kinds=(SAML_METADATA, SAML_PROVIDER, PASSWORD_POLICY, OUTBOUND_WEB_IDENTITY, ROOT_USER), wanted=wanted,
    stated=stated,
)  # fmt: skip
