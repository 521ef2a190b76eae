"""Certificates as ACM describes them where moto is no use: failed, expired, validated by e-mail, or just requested.

Answers the calls of the JSON 1.1 protocol that read certificates. The names are those of the service model of botocore,
which tests/contract/test_account_certificates.py checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

TOKEN = "0123456789abcdef0123456789abcdef"


def described(
    arn: str, *names: str, status: str = "ISSUED", method: str = "DNS", has_records: bool = True, **more: Any
) -> dict[str, Any]:
    """Return a certificate for names, the first one leading. `more` are further members of its description."""
    return {
        "CertificateArn": arn, "DomainName": names[0], "SubjectAlternativeNames": list(names), "Status": status,
        "Type": "AMAZON_ISSUED", "KeyAlgorithm": "RSA_2048",
        "DomainValidationOptions": [_option(one, status, method, has_records) for one in names], **more,
    }  # fmt: skip


def _option(name: str, status: str, method: str, has_records: bool) -> dict[str, Any]:
    base = name.removeprefix("*.")
    validated = "SUCCESS" if status == "ISSUED" else "PENDING_VALIDATION"
    option: dict[str, Any] = {"DomainName": name, "ValidationMethod": method, "ValidationStatus": validated}
    if method == "EMAIL":
        return {**option, "ValidationDomain": base, "ValidationEmails": [f"hostmaster@{base}"]}
    record = {"Name": f"_{TOKEN}.{base}.", "Type": "CNAME", "Value": f"_{TOKEN}.acm-validations.aws."}
    return {**option, **({"ResourceRecord": record} if has_records else {})}


@dataclass
class Certificates:
    """`listed` are the certificates by ARN; `tags` those of each. What is not listed is passed on to moto."""

    listed: dict[str, dict[str, Any]]
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def extend(self, aws: CountedAws) -> None:
        """Answer in moto's place for the listed certificates; there are no others then."""
        aws.extensions["acm:ListCertificates"] = self.list
        aws.extensions["acm:DescribeCertificate"] = self.describe
        aws.extensions["acm:ListTagsForCertificate"] = self.list_tags

    def list(self, _: AwsCall) -> web.Response:
        summaries = [
            {name: one[name] for name in ("CertificateArn", "DomainName", "Status", "Type", "KeyAlgorithm")}
            for one in self.listed.values()
        ]
        return _json({"CertificateSummaryList": summaries})

    def describe(self, call: AwsCall) -> web.Response | None:
        arn = json.loads(call.body)["CertificateArn"]
        return _json({"Certificate": self.listed[arn]}) if arn in self.listed else None

    def list_tags(self, call: AwsCall) -> web.Response | None:
        arn = json.loads(call.body)["CertificateArn"]
        tags = [{"Key": name, "Value": value} for name, value in self.tags.get(arn, {}).items()]
        return _json({"Tags": tags}) if arn in self.listed else None


def refused(code: str, message: str) -> web.Response:
    """Return ACM's answer to a call that it refuses."""
    return web.json_response(
        {"__type": code, "message": message}, status=400, content_type="application/x-amz-json-1.1"
    )


def _json(answer: Mapping[str, Any]) -> web.Response:
    return web.json_response(answer, content_type="application/x-amz-json-1.1")
