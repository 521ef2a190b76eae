"""Certificates of AWS Certificate Manager, validated by DNS: one request a region, and its records in our own zone.

A certificate is the one for its names. AWS cannot change them, so other names are another certificate; the old one
stays until it is deleted by name, for load balancers may still use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.certificates import CertificateSettings
from whence_aggregator.accounts.domains import is_within, parse_domain
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError

NAMES_MAX = 100
"""Of one certificate, the highest quota that AWS grants."""
_NAME_CHARACTERS_MAX = 200

CERTIFICATE = ResourceKind(
    name="certificate", step="certificates", is_regional=True, keeps_data=True, fixed=("names",),
    after=("zone", "delegation"),
    reads=(
        "acm:ListCertificates", "acm:DescribeCertificate", "acm:ListTagsForCertificate", "route53:ListHostedZones",
        "route53:ListTagsForResources", "route53:ListResourceRecordSets",
    ),
    writes=(
        "acm:RequestCertificate", "acm:AddTagsToCertificate", "acm:DeleteCertificate",
        "route53:ChangeResourceRecordSets",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    acm = account.settings.acm
    many = () if acm is None else (acm,) if isinstance(acm, CertificateSettings) else acm
    single = isinstance(acm, CertificateSettings)
    keys = [f"accounts.{account.name}.acm" + ("" if single else f"[{place}]") for place in range(len(many))]
    return [
        one for settings, key in zip(many, keys, strict=True) for one in _in_all_regions(account, settings, key)
    ]  # fmt: skip


def certificate_name(domain_name: str, others: Sequence[str]) -> str:
    """Return the name of a certificate in addresses: its names, or for many of them the first with a digest."""
    names = ",".join((domain_name, *sorted(others)))
    if len(names) <= _NAME_CHARACTERS_MAX:
        return names
    return f"{domain_name},{len(others)} others,{sha256(names.encode()).hexdigest()[:12]}"


def validated_name(name: str) -> str:
    """Return the name whose DNS has the validation record: a wildcard is validated with its domain."""
    return name.removeprefix("*.")


def _in_all_regions(account: ConfiguredAccount, settings: CertificateSettings, key: str) -> list[WantedResource]:
    if settings.method == "email":
        message = f"{key}.method: validation by e-mail is not supported, for nobody can renew it unattended"
        fix = "write method: dns, and leave out validation_domain"
        raise InputError("accounts-certificate-email", message, fix=fix)
    domain = parse_domain(settings.domain_name, key=f"{key}.domain_name", wildcard=True)
    further = {parse_domain(one, key=f"{key}.subject_alternative_names", wildcard=True) for one in settings.other_names}
    others = sorted(further - {domain})
    if len(others) >= NAMES_MAX:
        message = f"{key}.subject_alternative_names: a certificate has at most {NAMES_MAX} names"
        raise InputError("accounts-certificate-names", message, fix="divide them among several certificates")
    state: dict[str, Json] = {
        "names": {"domain_name": domain, "subject_alternative_names": others}, "tags": own_tags(),
        **_validation(account, [domain, *others]),
    }  # fmt: skip
    name = certificate_name(domain, others)
    return [WantedResource(kind=CERTIFICATE, name=name, region=region, state=state) for region in account.regions]


def _validation(account: ConfiguredAccount, names: Sequence[str]) -> dict[str, Json]:
    """Return the aspect of the validation records that belong into our zone."""
    if account.settings.domain is None:
        return {}
    zone = parse_domain(account.settings.domain, key=f"accounts.{account.name}.domain")
    inside = sorted({validated_name(one) for one in names if is_within(validated_name(one), zone)})
    return {"validation": {"zone": zone, "names": inside}} if inside else {}


STEP = AccountStep(
    name="certificates", summary="certificates, validated by DNS", kinds=(CERTIFICATE,), wanted=wanted
)  # fmt: skip
