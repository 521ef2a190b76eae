"""Reads the directory of users' rules."""

from __future__ import annotations

from pathlib import Path

from whence_aggregator.compliance.own.rule_file import FILE_BYTES_MAX, RuleFile, read_rules, wrong_together
from whence_aggregator.compliance.own.rules import OwnRule
from whence_common.settings_file import Document, SettingsInvalid

FILES_MAX = 100


def load_own_rules(directory: str) -> tuple[OwnRule, ...]:
    """Return the rules in a directory's *.yaml files, by id.

    Raises SettingsInvalid with every error of every file, and OSError.
    """
    if not Path(directory).is_dir():
        raise SettingsInvalid("own-rules-missing", f"own_rules_directory: {directory} is not a directory",
                              fix="create it, or correct the path")  # fmt: skip
    names = sorted(one for one in Path(directory).iterdir() if one.suffix in (".yaml", ".yml"))
    if len(names) > FILES_MAX:
        raise SettingsInvalid("own-rules-too-many", f"{directory} has more than {FILES_MAX} files",
                              fix="put several rules into one file")  # fmt: skip
    found, wrong = list[Document[RuleFile]](), list[str]()
    for name in names:
        try:
            with name.open("rb") as stream:
                found.append(read_rules(stream.read(FILE_BYTES_MAX + 1), name=str(name)))
        except SettingsInvalid as exc:
            wrong.append(exc.diagnostics())
    wrong += wrong_together(found) if not wrong else []
    if wrong:
        raise SettingsInvalid("own-rules-invalid", f"own_rules_directory: {directory}:\n" + "\n".join(wrong),
                              fix="correct the rules; whence-aggregator rules test checks them")  # fmt: skip
    rules = [OwnRule.of(one) for document in found for one in document.settings.rules]
    return tuple(sorted(rules, key=lambda one: one.id))
