"""The report's facet: what the aggregator has acknowledged, why it may not have more, and who could not be told."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.problems import Problem


@dataclass(slots=True, kw_only=True)
class Delivered:
    """Written by the room `report`."""

    enrolled: bool = False
    waiting: int = 0
    dropped: int = 0
    refused: int = 0
    """Of those dropped, how many the aggregator refused for good; they are kept aside."""
    refusal: str = ""
    """Why the last one was refused, and where it is kept."""
    acknowledged: int = 0
    acknowledged_at: str = ""
    ledger_index: int | None = None
    error: str = ""
    heartbeat_at: str = ""
    disk_error: str = ""
    log_problems: tuple[Problem, ...] = ()
    """What is wrong with the aggregator's log: it forked, or it is another one than before."""
    untold: str = ""
    """Who could not be told how the boot went."""

    def set_enrolled(self, *, enrolled: bool) -> None:
        """Note whether the aggregator has this machine's key."""
        self.enrolled = enrolled

    def set_counts(self, *, waiting: int, dropped: int, refused: int | None = None) -> None:
        """Take the numbers of the outbox; None leaves the number of the refused as it was."""
        self.waiting, self.dropped = waiting, dropped
        if refused is not None:
            self.refused = refused

    def record_refusal(self, refusal: str) -> None:
        """Note why a statement was refused for good."""
        self.refusal = refusal

    def record_acknowledgement(self, *, at: str, ledger_index: int) -> None:
        """Note that one more statement is in the ledger."""
        self.acknowledged += 1
        self.acknowledged_at, self.ledger_index = at, ledger_index

    def record_error(self, error: str) -> None:
        """Note why the aggregator has not more."""
        self.error = error

    def clear_error(self) -> None:
        """Note that it has everything."""
        self.error = ""

    def record_heartbeat(self, at: str) -> None:
        """Note that a heartbeat was taken."""
        self.heartbeat_at = at

    def record_disk_error(self, error: str) -> None:
        """Note what could not be kept on disk."""
        self.disk_error = error

    def clear_disk_error(self) -> None:
        """Note that the disk takes statements."""
        self.disk_error = ""

    def record_log_problems(self, problems: tuple[Problem, ...]) -> None:
        """Take everything that is wrong with the aggregator's log."""
        self.log_problems = problems

    def record_untold(self, whom: str) -> None:
        """Note who could not be told; empty when everybody was."""
        self.untold = whom
