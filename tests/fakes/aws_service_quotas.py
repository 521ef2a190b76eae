"""Service Quotas' list of applied quotas, which moto lacks. Speaks the JSON 1.1 protocol, in pages.

The names are those of the service model of botocore, which tests/contract/test_account_limits.py checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws


def quota(
    service: str, code: str, name: str, value: float, *, adjustable: bool = True, is_global: bool = False,
    unit: str = "None",
) -> dict[str, Any]:  # fmt: skip
    """Return a quota as AWS lists it."""
    return {
        "ServiceCode": service, "ServiceName": service, "QuotaCode": code, "QuotaName": name, "Value": value,
        "Unit": unit, "Adjustable": adjustable, "GlobalQuota": is_global, "QuotaAppliedAtLevel": "ACCOUNT",
        "QuotaArn": f"arn:aws:servicequotas:eu-west-1:123456789012:{service}/{code}",
    }  # fmt: skip


@dataclass
class ServiceQuotas:
    """`quotas` by service; a service that it lacks is unknown to AWS. `page` is the number of quotas of one answer."""

    quotas: Mapping[str, Sequence[Mapping[str, Any]]]
    page: int = 2
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Service and region of each call."""

    def extend(self, aws: CountedAws) -> None:
        aws.extensions["servicequotas:ListServiceQuotas"] = self.list

    def list(self, call: AwsCall) -> web.Response:
        asked = json.loads(call.body)
        self.asked.append((asked["ServiceCode"], call.region))
        if asked["ServiceCode"] not in self.quotas:
            return refused("NoSuchResourceException", "The request failed because the service does not exist.")
        start = int(asked.get("NextToken", "0"))
        listed = self.quotas[asked["ServiceCode"]]
        answer: dict[str, Any] = {"Quotas": listed[start : start + self.page]}
        if start + self.page < len(listed):
            answer["NextToken"] = str(start + self.page)
        return web.json_response(answer, content_type="application/x-amz-json-1.1")


def refused(code: str, message: str) -> web.Response:
    """Return the answer to a call that is refused."""
    return web.json_response(
        {"__type": code, "Message": message}, status=400, content_type="application/x-amz-json-1.1"
    )
