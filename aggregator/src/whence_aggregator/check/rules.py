"""The check of the rules that users wrote, and of their examples."""

from __future__ import annotations

from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.rules import checked_rules
from whence_common.settings_file import SettingsInvalid


async def check_rules(findings: SettingsProblems, settings: Settings) -> None:
    """Report each error in rules of your own, and in what is switched off."""
    engine = RuleProcess()
    try:
        await checked_rules(settings, engine)
    except SettingsInvalid as exc:
        findings.error(exc.message, fix=exc.fix, code=exc.code)
    except OSError as exc:
        findings.error(f"own_rules_directory: {exc.filename} cannot be read: {exc.strerror}", fix="correct its mode")
    finally:
        await engine.close()
