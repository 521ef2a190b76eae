"""What moto does otherwise than SQS: SetQueueAttributes that names no policy removes the policy.

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html (sets the value of one
or more attributes).
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from fakes.counted_aws import Answer, AwsCall


def policies_kept(sqs: Any) -> Answer:
    """Return an answer of SetQueueAttributes that keeps the policy. `sqs` is a client of moto in the account."""

    def answer(call: AwsCall) -> web.Response:
        asked = json.loads(call.body)
        url = asked["QueueUrl"]
        kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={**kept, **asked["Attributes"]})
        return web.Response(status=200, text="{}", content_type="application/x-amz-json-1.0")

    return answer
