"""CloudTrail's LookupEvents, which moto lacks, in CloudTrail's own protocol, JSON 1.1.

Events are found by the name of a resource, the newest first, as the API reference documents it. The answers are held to
botocore's service model by `tests/contract/test_account_doers.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

_RESULTS_MAX = 50


@dataclass
class LookedUpEvents:
    """Management events by account and region, in the order in which they happened."""

    kept: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        """Answer the call in moto's place."""
        aws.extensions["cloudtrail:LookupEvents"] = self._answer

    def happened(
        self, account_id: str, region: str, name: str, *, resource: str, by: str, at: datetime, is_read: bool = False
    ) -> None:
        """Add an event about a resource, such as `PutRolePolicy` by `ada`."""
        events = self.kept.setdefault((account_id, region), [])
        events.append(
            {
                "EventId": f"00000000-0000-4000-8000-{len(events):012d}", "EventName": name,
                "ReadOnly": "true" if is_read else "false", "EventTime": at.astimezone(UTC).timestamp(),
                "EventSource": "iam.amazonaws.com", "Username": by,
                "Resources": [{"ResourceType": "AWS::IAM::Role", "ResourceName": resource}],
                "CloudTrailEvent": json.dumps({"eventName": name, "userIdentity": {"userName": by}}),
            }
        )  # fmt: skip

    def _answer(self, call: AwsCall) -> web.Response:
        asked = json.loads(call.body)
        (attribute,) = asked["LookupAttributes"]
        assert attribute["AttributeKey"] == "ResourceName"
        assert 1 <= asked["MaxResults"] <= _RESULTS_MAX
        found = [
            one
            for one in reversed(self.kept.get((call.account_id, call.region), []))
            if any(each["ResourceName"] == attribute["AttributeValue"] for each in one["Resources"])
        ]
        body = json.dumps({"Events": found[: asked["MaxResults"]]})
        return web.Response(text=body, content_type="application/x-amz-json-1.1")
