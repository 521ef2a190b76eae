"""GuardDuty's detectors, in its own protocol: moto's have neither tags that can be added nor an administrator.

Answers are held to botocore's service model by tests/contract/test_account_guardduty.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

_DATE = "2026-11-27T08:00:00.000Z"


@dataclass
class FakeDetector:
    id: str
    enabled: bool
    frequency: str = "SIX_HOURS"
    tags: dict[str, str] = field(default_factory=dict)
    administrator: dict[str, str] = field(default_factory=dict)


@dataclass
class GuardDutyOfAccounts:
    """The detector of each account and region, to look and to change by hand."""

    detectors: dict[tuple[str, str], FakeDetector] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        """Answer GuardDuty's calls in moto's place."""
        answers: dict[str, Callable[[AwsCall], web.Response]] = {
            "ListDetectors": self._list, "CreateDetector": self._create, "GetDetector": self._get,
            "UpdateDetector": self._update, "DeleteDetector": self._delete, "TagResource": self._tag,
            "GetAdministratorAccount": self._administrator,
        }  # fmt: skip
        aws.extensions.update({f"guardduty:{action}": answer for action, answer in answers.items()})

    def _list(self, call: AwsCall) -> web.Response:
        found = self.detectors.get((call.account_id, call.region))
        return web.json_response({"detectorIds": [found.id] if found is not None else []})

    def _create(self, call: AwsCall) -> web.Response:
        if (call.account_id, call.region) in self.detectors:
            return _refused("The request is rejected because a detector already exists for the current account.")
        asked = _body(call)
        made = FakeDetector(
            id=f"{len(self.detectors):032x}", enabled=asked["enable"], tags=asked.get("tags", {}),
            frequency=asked.get("findingPublishingFrequency", "SIX_HOURS"),
        )  # fmt: skip
        self.detectors[call.account_id, call.region] = made
        return web.json_response({"detectorId": made.id})

    def _get(self, call: AwsCall) -> web.Response:
        found = self._asked(call)
        if found is None:
            return _missing()
        return web.json_response(
            {
                "createdAt": _DATE, "updatedAt": _DATE, "tags": found.tags, "features": [],
                "findingPublishingFrequency": found.frequency, "status": "ENABLED" if found.enabled else "DISABLED",
                "serviceRole": f"arn:aws:iam::{call.account_id}:role/aws-service-role/guardduty.amazonaws.com/r",
            }
        )  # fmt: skip

    def _update(self, call: AwsCall) -> web.Response:
        found, asked = self._asked(call), _body(call)
        if found is None:
            return _missing()
        if found.administrator and "findingPublishingFrequency" in asked:
            return _refused("The request is rejected because a member cannot update the publishing frequency.")
        found.enabled = asked.get("enable", found.enabled)
        found.frequency = asked.get("findingPublishingFrequency", found.frequency)
        return web.json_response({})

    def _delete(self, call: AwsCall) -> web.Response:
        if self._asked(call) is None:
            return _missing()
        del self.detectors[call.account_id, call.region]
        return web.json_response({})

    def _administrator(self, call: AwsCall) -> web.Response:
        found = self._asked(call)
        return web.json_response({"administrator": found.administrator}) if found is not None else _missing()

    def _tag(self, call: AwsCall) -> web.Response:
        found = self._asked(call)
        if found is None:
            return _missing()
        found.tags |= _body(call)["tags"]
        return web.Response(status=204)

    def _asked(self, call: AwsCall) -> FakeDetector | None:
        found = self.detectors.get((call.account_id, call.region))
        return found if found is not None and found.id in unquote(call.path).split("/") else None


def _body(call: AwsCall) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call.body)
    return found


def _missing() -> web.Response:
    return _refused("The request is rejected because the input detectorId is not owned by the current account.")


def _refused(message: str) -> web.Response:
    """Return an error as GuardDuty words it: one code, and a message."""
    body = {"__type": "InvalidInputException", "message": message}
    return web.json_response(body, status=400, headers={"X-Amzn-ErrorType": "BadRequestException"})
