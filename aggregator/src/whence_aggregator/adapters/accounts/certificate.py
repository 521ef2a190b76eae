"""Certificates of one region, by ACM, with their validation records in the account's zone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from whence_aggregator.accounts.domains import plain
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.certificates import CERTIFICATE, certificate_name
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.validation import (
    ValidationRecord,
    in_place,
    validation_records,
    write_records,
    zone_id_of,
)
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_KEY_TYPES = ("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1")
"""All of ACM's: without this filter it lists RSA keys of 1024 and 2048 bits only."""
_DEAD = frozenset({"FAILED", "VALIDATION_TIMED_OUT", "REVOKED", "EXPIRED", "INACTIVE"})
_AT_ONCE = 8
_TRIES = 3
_PROBLEM_RECORDS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Certificate:
    """A certificate that ACM issues, described."""

    arn: str
    domain_name: str
    others: tuple[str, ...]
    status: str
    reason: str
    renewal: str
    by_dns: bool
    tags: Mapping[str, str]
    records: Mapping[str, ValidationRecord]
    waits_for: tuple[str, ...]
    """Names that are not validated yet."""

    @property
    def name(self) -> str:
        return certificate_name(self.domain_name, self.others)

    @property
    def is_own(self) -> bool:
        return is_own(self.tags)

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """The least is the one that counts among those with the same names."""
        return not self.is_own, self.status in _DEAD, self.arn


class CertificateProvider:
    def __init__(self, place: AwsPlace, *, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._place = place
        self._wait = wait

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        asked = {one.name: one for one in wanted}
        found = await self._certificates({one.partition(",")[0] for one in asked})
        by_name: dict[str, list[_Certificate]] = {}
        for one in sorted((each for each in found if each.name in asked or each.is_own), key=lambda each: each.rank):
            by_name.setdefault(one.name, []).append(one)
        chosen = {name: next((one for one in many if one.is_own or (one.by_dns and one.status not in _DEAD)), None)
                  for name, many in by_name.items()}  # fmt: skip
        return [
            await self._standing(one, [each for each in by_name[name] if each is not one], asked.get(name))
            for name, one in chosen.items() if one is not None
        ]  # fmt: skip

    async def find(self) -> Sequence[StandingResource]:
        """Return all certificates, also those that no configuration states, named by their ARNs."""
        acm = await self._place.client("acm")
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(summary: Mapping[str, Any]) -> StandingResource | None:
            async with limit:
                described = await self._described(acm, str(summary["CertificateArn"]))
                tags = await _tags(acm, str(summary["CertificateArn"]))
            return self._found(described, tags) if described is not None else None

        return [each for each in await asyncio.gather(*map(one, await self._listed(acm))) if each is not None]

    def _found(self, described: Mapping[str, Any], tags: Mapping[str, str]) -> StandingResource:
        one = _certificate(described, tags)
        return StandingResource(
            kind=CERTIFICATE, name=one.arn, region=self._place.region, is_own=one.is_own, outputs={"arn": one.arn},
            state={
                "names": {"domain_name": one.domain_name, "subject_alternative_names": list(one.others)},
                "tags": seen_tags(tags, None), "status": one.status, "is_dead": one.status in _DEAD,
                "by_dns": one.by_dns, "by_acm": described.get("Type") == "AMAZON_ISSUED",
            },
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        acm = await self._place.client("acm")
        names, tags = wanted.state["names"], wanted.state["tags"]
        assert isinstance(names, Mapping)
        assert isinstance(tags, Mapping)
        others = {"SubjectAlternativeNames": names["subject_alternative_names"]}
        await acm.request_certificate(
            DomainName=names["domain_name"], ValidationMethod="DNS", IdempotencyToken=uuid4().hex,
            Tags=_tag_list(tags), **(others if names["subject_alternative_names"] else {}),
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        assert isinstance(value, Mapping)
        arn = str(standing.outputs["arn"])
        acm = await self._place.client("acm")
        if aspect == "tags":
            await acm.add_tags_to_certificate(CertificateArn=arn, Tags=_tag_list(value))
        elif aspect == "validation":
            records = validation_records(await self._described(acm, arn) or {})
            route53 = await self._place.client("route53")
            names = [str(one) for one in value["names"]]  # type: ignore[union-attr]  # a list, as in the step
            await write_records(route53, str(value["zone"]), self._place.account_id, records, names)

    async def delete(self, standing: StandingResource) -> None:
        acm = await self._place.client("acm")
        try:
            await acm.delete_certificate(CertificateArn=str(standing.outputs["arn"]))
        except acm.exceptions.ResourceNotFoundException:
            return

    async def _certificates(self, domain_names: set[str]) -> list[_Certificate]:
        """Return the certificates that ACM issues with one of these first names, and all that are ours."""
        acm = await self._place.client("acm")
        listed = await self._listed(acm)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(summary: Mapping[str, Any]) -> _Certificate | None:
            arn = str(summary["CertificateArn"])
            async with limit:
                tags = await _tags(acm, arn)
                if not is_own(tags) and plain(str(summary.get("DomainName", ""))) not in domain_names:
                    return None
                described = await self._described(acm, arn)
            return _certificate(described, tags) if described is not None else None

        issued = [each for each in listed if each.get("Type") == "AMAZON_ISSUED"]
        return [each for each in await asyncio.gather(*map(one, issued)) if each is not None]

    async def _listed(self, acm: Any) -> Sequence[Mapping[str, Any]]:
        return await whole_list(
            acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": list(_KEY_TYPES)}
        )

    async def _described(self, acm: Any, arn: str) -> Mapping[str, Any] | None:
        """Describe a certificate; wait a moment for the validation records of one that was just requested."""
        for attempt in range(_TRIES):
            if attempt:
                await self._wait(1.0)
            try:
                described: Mapping[str, Any] = (await acm.describe_certificate(CertificateArn=arn))["Certificate"]
            except acm.exceptions.ResourceNotFoundException:
                return None
            options = described.get("DomainValidationOptions", [])
            is_new = described["Status"] == "PENDING_VALIDATION" and not _is_by_email(described)
            if not is_new or (options and all("ResourceRecord" in one for one in options)):
                break
        return described

    async def _standing(
        self, one: _Certificate, twins: Sequence[_Certificate], wanted: WantedResource | None
    ) -> StandingResource:
        validation = wanted.state.get("validation") if wanted is not None else None
        missing = dict(one.records)
        state: dict[str, Json] = {
            "names": {"domain_name": one.domain_name, "subject_alternative_names": list(one.others)},
            "tags": seen_tags(one.tags, wanted),
        }
        if isinstance(validation, Mapping):
            zone, names = str(validation["zone"]), [str(each) for each in validation["names"]]  # type: ignore[union-attr]
            state["validation"] = {"zone": zone, "names": await self._in_place(zone, one, names)}
            missing = {name: record for name, record in missing.items() if name not in names}
        return StandingResource(
            kind=CERTIFICATE, name=one.name, region=self._place.region, is_own=one.is_own, state=state,
            outputs={"arn": one.arn}, warnings=_problems(one, missing) if one.is_own and wanted is not None else (),
            foreign=tuple(f"another certificate of these names, {each.arn}," for each in twins),
        )  # fmt: skip

    async def _in_place(self, zone: str, one: _Certificate, names: Sequence[str]) -> list[Json]:
        route53 = await self._place.client("route53")
        zone_id = await zone_id_of(route53, zone, self._place.account_id)
        return list(await in_place(route53, zone_id, one.records, names)) if zone_id is not None else []


def _certificate(described: Mapping[str, Any], tags: Mapping[str, str]) -> _Certificate:
    domain_name = plain(described["DomainName"])
    options = described.get("DomainValidationOptions", [])
    return _Certificate(
        arn=str(described["CertificateArn"]), domain_name=domain_name, status=str(described["Status"]), tags=tags,
        others=tuple(sorted({plain(one) for one in described.get("SubjectAlternativeNames", [])} - {domain_name})),
        reason=str(described.get("FailureReason", "")), by_dns=not _is_by_email(described),
        renewal=str(described.get("RenewalSummary", {}).get("RenewalStatus", "")),
        records=validation_records(described),
        waits_for=tuple(plain(one["DomainName"]).removeprefix("*.") for one in options
                        if one.get("ValidationStatus") == "PENDING_VALIDATION"),
    )  # fmt: skip


def _problems(one: _Certificate, elsewhere: Mapping[str, ValidationRecord]) -> tuple[str, ...]:
    """Return what is wrong with a certificate; `elsewhere` are the records that other zones must have."""
    found = []
    if one.status in _DEAD:
        reason = f" ({one.reason})" if one.reason else ""
        found.append(
            f"{one.arn} is {one.status}{reason}, and no other is requested while it exists: correct the cause, then "
            "delete it in ACM and plan again"
        )
    if one.renewal == "FAILED":
        found.append(f"the renewal of {one.arn} has failed: check its validation records, then request it again")
    waiting = sorted({str(elsewhere[name]) for name in one.waits_for if name in elsewhere})
    if one.status == "PENDING_VALIDATION" and waiting:
        more = f" and {len(waiting) - _PROBLEM_RECORDS_MAX} more" if len(waiting) > _PROBLEM_RECORDS_MAX else ""
        shown = "; ".join(waiting[:_PROBLEM_RECORDS_MAX])
        found.append(f"it waits for validation by records that our zone does not contain: write {shown}{more}")
    return tuple(found)


def _is_by_email(described: Mapping[str, Any]) -> bool:
    return any(one.get("ValidationMethod") == "EMAIL" for one in described.get("DomainValidationOptions", []))


async def _tags(acm: Any, arn: str) -> dict[str, str]:
    try:
        answer = await acm.list_tags_for_certificate(CertificateArn=arn)
    except acm.exceptions.ResourceNotFoundException:
        return {}
    return {one["Key"]: one.get("Value", "") for one in answer.get("Tags", [])}


def _tag_list(tags: Mapping[str, Json]) -> list[dict[str, Json]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
