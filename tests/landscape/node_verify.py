"""The console's verification in node, as a browser runs it: the modules as they are served, without any network."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).parents[1] / "clients" / "verify_in_node.mjs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenFiles:
    """What a user chooses on the page: files, and the keys that are trusted."""

    files: Sequence[bytes]
    keys: str
    witnesses_least: int = 0


def verified(*chosen: ChosenFiles) -> list[dict[str, Any]]:
    """Return the results of the verification of each choice."""
    cases = [
        {
            "files": [base64.b64encode(file).decode() for file in one.files],
            "keys": one.keys,
            "witnessesLeast": one.witnesses_least,
        }
        for one in chosen
    ]
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        place = Path(directory)
        (place / "package.json").write_text('{"type": "module"}', encoding="ascii")
        assets = resources.files("whence_aggregator.console") / "assets"
        for one in assets.iterdir():
            if one.name.endswith(".js"):
                (place / one.name).write_bytes(one.read_bytes())
        node = shutil.which("node")
        assert node is not None, "install node"
        done = subprocess.run(
            [node, "--no-warnings", _SCRIPT, place], input=json.dumps(cases), capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
