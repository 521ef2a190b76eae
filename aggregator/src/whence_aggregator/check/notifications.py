"""The check of the files that notifications need: URLs, secrets and the login of the mail server."""

from __future__ import annotations

from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.notifications import files_of


def check_notifications(findings: SettingsProblems, settings: Settings) -> None:
    """Report each file that cannot be used. Nothing is sent."""
    if settings.notifications is None:
        return
    for place, path, read in files_of(settings.notifications):
        if findings.attempt(place, read):
            findings.readable_by_others(place, path)
