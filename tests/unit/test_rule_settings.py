"""The settings of `rules` are judged whole, each problem with its place."""

from __future__ import annotations

import pytest

from whence_aggregator.settings.server import parse_settings
from whence_aggregator.wiring.rules import rules_in_force
from whence_common.settings_file import SettingsInvalid

LEAST = "audience: https://whence.example.org\naccounts: ['123456789012']\n"


def problems(rules: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refused:
        parse_settings(f"{LEAST}rules: {rules}\n".encode(), name="aggregator.yaml")
    return [line for line in refused.value.message.splitlines() if "rules" in line]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("{regions: []}", "rules.regions must have 1 to 200 names of 1 to 200 characters"),
        ("{regions: [Mars]}", "rules.regions: 'Mars' is not a region"),
        ("{ami_owners: [me]}", "rules.ami_owners: 'me' is neither an account id (12 digits, in quotes) nor amazon"),
        ("{ami_builders: []}", "rules.ami_builders must have 1 to 200 names of 1 to 200 characters"),
        ("{ami_packages_differing_max: -1}", "rules.ami_packages_differing_max must be from 0 to 10000"),
        ("{ami_packages_differing_max: 10001}", "rules.ami_packages_differing_max must be from 0 to 10000"),
        ("{instance_days_max: 0}", "rules.instance_days_max must be from 1 to 3650"),
        ("{slsa_levels: {'1': 3}}", "rules.slsa_levels needs builder_levels"),
        ("{slsa_levels: {'9': 3}, builder_levels: {ci: 3}}", "rules.slsa_levels: '9' is not a criticality level"),
        ("{builder_levels: {ci: 9}}", "rules.builder_levels.ci must be a level from 0 to 3"),
        ("{scm_owners: {}}", "rules.scm_owners must name a Git server"),
        ("{scm_owners: {GitHub.com: [a]}}", "rules.scm_owners: 'GitHub.com' is not a host in lower case"),
        ("{scm_owners: {github.com: []}}", "rules.scm_owners.github.com must name owners"),
        ("{contact_levels: [7]}", "rules.contact_levels must be numbers from 1 to 4"),
    ],
)
def test_a_wrong_setting_ends_the_start_and_is_named(rules: str, words: str) -> None:
    assert any(words in line for line in problems(rules)), problems(rules)


def test_a_rule_is_in_force_when_its_setting_and_its_source_are_configured() -> None:
    text = f"{LEAST}rules: {{regions: [eu-central-1]}}\ninventory: {{regions: [eu-central-1]}}\n"
    found = rules_in_force(parse_settings(text.encode(), name="aggregator.yaml"))
    assert {"wrong-region", "ssh-keypair-used"} <= {one.id for one in found.rules}
    assert found.not_in_force["version-not-approved"] == "the settings do not configure its source: `approvals`"
