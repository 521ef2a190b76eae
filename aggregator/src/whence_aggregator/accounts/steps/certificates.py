"""Certificates of AWS Certificate Manager, validated by DNS: one request a region, and its records in our own zone.

A certificate is the one for its names. AWS cannot change them, so other names are another certificate; the old one
stays until it is deleted by name, for load balancers may still use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.certificates import CertificateSettings
from whence_aggregator.accounts.domains import is_within, parse_domain
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, own_tags
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


def stated(found: FoundAccount) -> StatedSection:
    """Return the certificates that ACM issued by DNS in every region, and name the others with the reason."""
    certificates = found.of(CERTIFICATE.name)
    usable: dict[str, dict[str | None, StandingResource]] = {}
    notes = []
    for one in sorted(certificates, key=lambda each: (not each.is_own, each.name)):
        domain, others = _names(one)
        regions = usable.setdefault(certificate_name(domain, others), {})
        if (why := _unstatable(one)) is None and one.region in regions:
            why = f"{regions[one.region].name} has the same names"
        if why is None:
            regions[one.region] = one
        else:
            notes.append(f"{one.name} of {domain}: {why}")
    kept = {name: regions for name, regions in usable.items() if len(regions) == len(found.regions)}
    if found.is_read(CERTIFICATE.name):
        notes += [
            f"{one.name} of {_names(one)[0]}: a configuration has it in every region, and it stands in "
            + ", ".join(sorted(map(str, regions)))
            for name, regions in usable.items() if name not in kept for one in regions.values()
        ]  # fmt: skip
    section: list[Json] = [
        {"domain_name": domain, **({"subject_alternative_names": others} if others else {})}
        for domain, others in (_names(next(iter(regions.values()))) for _, regions in sorted(kept.items()))
    ]  # fmt: skip
    return StatedSection(section={"acm": section}, notes=tuple(ImportNote(key="acm", text=one) for one in notes))


def _names(one: StandingResource) -> tuple[str, list[str]]:
    names: Any = one.state["names"]
    return names["domain_name"], names["subject_alternative_names"]


def _unstatable(one: StandingResource) -> str | None:
    """Return why no configuration states a certificate, in words; None for one that it states."""
    if not one.state["by_acm"]:
        return "it is not one that ACM issued"
    if not one.state["by_dns"]:
        return "it is validated by e-mail, and a configuration only states validation by DNS"
    if one.state["is_dead"]:
        return f"it is {one.state['status']}"
    domain, others = _names(one)
    try:
        for name in (domain, *others):
            parse_domain(name, key="acm", wildcard=True)
    except InputError as exc:
        return exc.message
    return None


STEP = AccountStep(
    name="certificates", summary="certificates, validated by DNS", kinds=(CERTIFICATE,), wanted=wanted,
    stated=stated,
)  # fmt: skip
