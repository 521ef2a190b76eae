"""Creates the key, the outbox, the reporter, and delivery to the aggregator."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.credentials.generations import discard
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.redaction import Redactor
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.outbox import Outbox
from whence_agent.report.receipts import Receipts, Trusted
from whence_agent.report.reporter import Reporter
from whence_agent.report.seen_logs import SeenLogs
from whence_agent.settings import Settings
from whence_agent.wiring.adapters import Adapters
from whence_agent.wiring.process import state_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    key: InstanceKey
    reporter: Reporter
    delivery: Delivery


def make_reporting(
    settings: Settings, adapters: Adapters, *, progress: Progress, pulse: Pulse, redactor: Redactor
) -> Reporting:
    """Read the state directory; return the reporter and delivery. Raises OSError."""
    state = state_directory(settings)
    key = InstanceKey(state)
    outbox = Outbox(
        state / "outbox", statements_max=settings.outbox_statements_max, bytes_max=settings.outbox_bytes_max
    )
    owner = KeyOwner(
        key=key,
        outbox=outbox,
        progress=progress,
        forget=lambda: discard(Path(settings.container_directory), link="credentials"),
    )
    reporter = Reporter(key=key, outbox=outbox, progress=progress, redactor=redactor)
    receipts = Receipts(
        key=key, trusted=Trusted.of(settings), seen=SeenLogs(state / "log-seen.json"), progress=progress
    )
    delivery = Delivery(
        aggregator=HttpAggregator(
            session=adapters.session,
            url=settings.aggregator_url,
            ca_file=settings.aggregator_ca_file,
            log_size=lambda: receipts.seen_size,
            key_id=lambda: key.id,
        ),
        prover=adapters.prover,
        receipts=receipts,
        key=key,
        counter=HeartbeatCounter(key),
        owner=owner,
        outbox=outbox,
        reporter=reporter,
        progress=progress,
        pulse=pulse,
        heartbeat_seconds=settings.heartbeat_seconds,
        pause_seconds_max=settings.delivery_pause_seconds_max,
        random=random.random,
    )
    return Reporting(key=key, reporter=reporter, delivery=delivery)
