"""The facet of reports: what the aggregator has acknowledged, delivery errors, and signals that could not be sent."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.problems import Problem


@dataclass(slots=True, kw_only=True)
class Delivered:
    """The state of delivery. Written by the package `report`."""

    enrolled: bool = False
    waiting: int = 0
    dropped: int = 0
    refused: int = 0
    """How many of those dropped the aggregator refused permanently; they are stored in the outbox's `refused`."""
    refusal: str = ""
    """Why the last one was refused, and where it is stored."""
    acknowledged: int = 0
    acknowledged_at: str = ""
    ledger_index: int | None = None
    error: str = ""
    heartbeat_at: str = ""
    disk_error: str = ""
    log_problems: tuple[Problem, ...] = ()
    """Problems of the aggregator's log: it forked, or its name changed."""
    unsent_signals: str = ""
    """Which stack, hook or other recipient could not be signalled, and why."""

    def set_enrolled(self, *, enrolled: bool) -> None:
        """Record whether the aggregator has this machine's key."""
        self.enrolled = enrolled

    def set_counts(self, *, waiting: int, dropped: int, refused: int | None = None) -> None:
        """Record the numbers of the outbox; `refused=None` leaves that number unchanged."""
        self.waiting, self.dropped = waiting, dropped
        if refused is not None:
            self.refused = refused

    def record_refusal(self, refusal: str) -> None:
        """Record why a statement was refused permanently."""
        self.refusal = refusal

    def record_acknowledgement(self, *, at: str, ledger_index: int) -> None:
        """Record that one more statement is in the ledger."""
        self.acknowledged += 1
        self.acknowledged_at, self.ledger_index = at, ledger_index

    def record_error(self, error: str) -> None:
        """Record why the last delivery failed."""
        self.error = error

    def clear_error(self) -> None:
        """Record that delivery succeeded."""
        self.error = ""

    def record_heartbeat(self, at: str) -> None:
        """Record that a heartbeat was accepted."""
        self.heartbeat_at = at

    def record_disk_error(self, error: str) -> None:
        """Record what could not be written to disk."""
        self.disk_error = error

    def clear_disk_error(self) -> None:
        """Record that statements can be written to disk again."""
        self.disk_error = ""

    def record_log_problems(self, problems: tuple[Problem, ...]) -> None:
        """Record all problems of the aggregator's log."""
        self.log_problems = problems

    def record_unsent_signals(self, unsent: str) -> None:
        """Record which signals could not be sent; empty if all were sent."""
        self.unsent_signals = unsent
