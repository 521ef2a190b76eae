"""The check of the configuration of accounts: the file whole, each mistake with its place."""

from __future__ import annotations

from whence_aggregator.adapters.accounts.configuration_file import ConfigurationFile
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.server import Settings


def check_account_configuration(findings: SettingsProblems, settings: Settings) -> None:
    """Report every mistake in the file, with which a start would fail. AWS is not asked."""
    wanted = settings.account_configuration
    if wanted is None:
        return
    check = ConfigurationFile(wanted.file, endpoint_url=settings.aws_endpoint_url).check
    findings.attempt_file("account_configuration.file", wanted.file, check, code="account-configuration")
