"""A trail's queue in SQS."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.events.ports import VISIBILITY_SECONDS, QueuedMessage
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_POLL_SECONDS = 20
_MESSAGES_MAX = 10
"""SQS's own bounds of one long poll."""


class SqsQueue:
    """One queue; `poll_seconds` is how long a receive waits for messages."""

    def __init__(
        self,
        *,
        clients: ServiceClients,
        url: str,
        region: str,
        role: AssumedRole | None,
        poll_seconds: int = _POLL_SECONDS,
    ) -> None:
        self._clients = clients
        self.url = url
        self.region = region
        self._role = role
        self._poll_seconds = poll_seconds

    async def receive(self) -> Sequence[QueuedMessage]:
        """Wait for messages. Raises SourceUnavailable."""
        try:
            sqs = await self._clients.get("sqs", self.region, self._role)
            answer = await sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=_MESSAGES_MAX, WaitTimeSeconds=self._poll_seconds,
                VisibilityTimeout=VISIBILITY_SECONDS, MessageSystemAttributeNames=["SentTimestamp"],
            )  # fmt: skip
        except CALL_FAILURES as exc:
            raise self._clients.failed(self.region, self._role, f"queue {self.url}", exc) from exc
        return [
            QueuedMessage(
                body=str(one.get("Body", "")), receipt=str(one["ReceiptHandle"]),
                sent_at=_millis(one.get("Attributes", {}).get("SentTimestamp", "")),
            )
            for one in answer.get("Messages", [])
        ]  # fmt: skip

    async def extend(self, receipts: Sequence[str]) -> None:
        """Hide messages for longer. Raises SourceUnavailable."""
        entries = [
            {"Id": str(number), "ReceiptHandle": one, "VisibilityTimeout": VISIBILITY_SECONDS}
            for number, one in enumerate(receipts)
        ]
        try:
            sqs = await self._clients.get("sqs", self.region, self._role)
            await sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
        except CALL_FAILURES as exc:
            raise self._clients.failed(self.region, self._role, f"queue {self.url}", exc) from exc

    async def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages; one that is not deleted is delivered again, and is known then. Raises SourceUnavailable."""
        entries = [{"Id": str(number), "ReceiptHandle": one} for number, one in enumerate(receipts)]
        try:
            sqs = await self._clients.get("sqs", self.region, self._role)
            answer = await sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        except CALL_FAILURES as exc:
            raise self._clients.failed(self.region, self._role, f"queue {self.url}", exc) from exc
        if answer.get("Failed"):
            log.warning("messages not deleted", extra=fields(queue=self.url, count=len(answer["Failed"])))

    async def waiting(self) -> int:
        """Return about how many messages wait. Raises SourceUnavailable."""
        try:
            sqs = await self._clients.get("sqs", self.region, self._role)
            answer = await sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"])
        except CALL_FAILURES as exc:
            raise self._clients.failed(self.region, self._role, f"queue {self.url}", exc) from exc
        return _millis(answer.get("Attributes", {}).get("ApproximateNumberOfMessages", ""))


def _millis(text: str) -> int:
    """Return a number in an attribute, which is text; 0 when it is absent."""
    return int(text) if text.isdecimal() and len(text) <= 18 else 0
