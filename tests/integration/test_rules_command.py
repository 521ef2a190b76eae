"""whence-aggregator rules test, explain and list: exit codes, and what they print."""

from __future__ import annotations

from pathlib import Path

from landscape.processes import ended
from landscape.programs import BIN
from whence_aggregator.check.command import SETTINGS_WRONG

RULE = """\
rules:
- id: own-signed-twice
  title: The image has two signatures
  kind: version
  severity: 2
  rationale: One key may be stolen.
  remedy: Sign the image with the second key.
  pass_when: image.signatures >= 2
  examples:
  - given: {image: {signatures: 2}}
    expect: pass
  - given: {image: {signatures: 1}}
    expect: fail
"""


async def run(*words: str | Path) -> tuple[int, str]:
    done = await ended(BIN / "whence-aggregator", "rules", *words, merged=True)
    return done.code, done.out


def settings(directory: Path, more: str = "") -> Path:
    path = directory / "aggregator.yaml"
    text = f"audience: https://whence.example.org\naccounts: ['123456789012']\nown_rules_directory: {directory}/rules\n"
    path.write_text(text + more)
    (directory / "rules").mkdir(exist_ok=True)
    (directory / "rules" / "ours.yaml").write_text(RULE)
    return path


async def test_rules_whose_examples_are_right_are_good(tmp_path: Path) -> None:
    settings(tmp_path)
    assert await run("test", tmp_path / "rules") == (0, "rules: 1, examples: 2, wrong: 0\n")


async def test_a_wrong_example_is_exit_code_1_and_an_invalid_rule_78_with_its_line(tmp_path: Path) -> None:
    config = settings(tmp_path)
    (tmp_path / "rules" / "ours.yaml").write_text(RULE.replace("signatures: 1", "signatures: 7"))
    code, output = await run("test", "--config", config)
    assert code == 1
    assert "own-signed-twice, example 2: fail was expected, but the rule returned pass" in output
    (tmp_path / "rules" / "ours.yaml").write_text(RULE.replace("image.sig", "image.sg"))
    code, output = await run("test", "--config", config)
    assert code == SETTINGS_WRONG
    assert "ours.yaml:8:" in output
    assert "did you mean signatures?" in output
    (tmp_path / "rules" / "ours.yaml").write_text(RULE.replace("  examples:", "  bogus: 1\n  examples:"))
    code, output = await run("explain", "drift", "--config", config)
    assert (code, "\N{REPLACEMENT CHARACTER}" in output) == (SETTINGS_WRONG, False), output
    assert "rules[0].bogus: unknown setting = write one of: id, title, kind, severity, rationale, remedy" in output


async def test_a_rule_is_explained_with_what_it_reads_and_its_examples(tmp_path: Path) -> None:
    code, output = await run("explain", "own-signed-twice", "--config", settings(tmp_path))
    assert code == 0
    assert "condition: image.signatures >= 2\n" in output
    assert "reads image.signatures: int\n" in output
    assert 'example 2: fail with {"image": {"signatures": 1}}: the condition does not hold' in output
    code, output = await run("explain", "own-signed-twise", "--config", settings(tmp_path))
    assert code == 1
    assert "did you mean own-signed-twice?" in output


async def test_the_list_shows_which_rules_are_off_and_why(tmp_path: Path) -> None:
    code, output = await run("list", "--config", settings(tmp_path, "rules_off: {drift: too many}\n"))
    assert code == 0
    assert "own-signed-twice (version, severity 2): in force\n" in output
    assert "drift (instance, severity 1): not in force: it is switched off: too many\n" in output


async def test_what_is_switched_off_must_exist_and_have_a_reason(tmp_path: Path) -> None:
    code, output = await run("list", "--config", settings(tmp_path, "rules_off: {drifd: x, agent-silent: ''}\n"))
    assert code == SETTINGS_WRONG
    assert "rules_off.drifd: there is no such rule: did you mean drift?" in output
    assert "rules_off.agent-silent must state the reason" in output
    code, output = await run("list", "--config", settings(tmp_path, "rules_off: {own-other: gone}\n"))
    assert code == SETTINGS_WRONG
    assert "aggregator.yaml:4:" in output
    assert "rules_off.own-other: there is no such rule in own_rules_directory" in output
