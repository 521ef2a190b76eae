"""whence-agent validate, schema, explain: the agent's validation of user data, offline."""

from __future__ import annotations

import json
import sys

from whence_agent import __version__
from whence_agent.commands.files import read, read_settings
from whence_common.problems import has_errors, render
from whence_common.sarif import to_sarif
from whence_common.user_data import explain as explanations
from whence_common.user_data.judge import judge
from whence_common.user_data.keys import KEYS
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.schema import json_schema

_READ_BYTES_MAX = 1024 * 1024
_USAGE = 64


def validate(file: str, *, config: str | None, form: str) -> int:
    """Validate a file; return 0 if it has no errors, 1 if it is invalid, 2 if it is unreadable."""
    raw = read(file, _READ_BYTES_MAX)
    if raw is None:
        return 2
    rules = PlatformRules(platform_known=False)
    if config is not None:
        settings = read_settings(config)
        if settings is None:
            return 2
        rules = settings.platform_rules()
    judgement = judge(raw, rules)
    name = "standard input" if file == "-" else file
    if form == "json":
        print(json.dumps({"problems": [problem.to_wire() for problem in judgement.problems]}, indent=2))
    elif form == "sarif":
        uri = "user-data.yaml" if file == "-" else file
        print(json.dumps(to_sarif(judgement.problems, file=uri, tool="whence-agent", version=__version__), indent=2))
    else:
        if judgement.problems:
            print(render(judgement.problems, name=name, lines=judgement.lines))
        errors = sum(problem.severity == "error" for problem in judgement.problems)
        warnings = len(judgement.problems) - errors
        print(f"{name}: {'invalid' if errors else 'valid'}, {errors} errors, {warnings} warnings")
    return 1 if has_errors(judgement.problems) else 0


def schema() -> int:
    """Print the JSON Schema."""
    print(json.dumps(json_schema(KEYS), indent=2))
    return 0


def explain(name: str | None) -> int:
    """Explain one key, or list all of them; return 64 for an unknown key."""
    if name is None:
        width = max(len(key) for key in KEYS)
        print("\n".join(f"{key.name:{width}}  {key.does}" for key in KEYS.values()))
        return 0
    text = explanations.explain(name)
    if text is None:
        close = explanations.suggestions(name)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; whence-agent explain lists all"
        print(f"whence-agent: unknown key {name!r}{hint}", file=sys.stderr)
        return _USAGE
    print(text)
    return 0
