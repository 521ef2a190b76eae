"""The documents, and the commands in them, for tests."""

from __future__ import annotations

import asyncio
import re

from landscape.whole import ROOT

DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".venv-clients", ".venv-peers", "node_modules", "build"} & set(path.relative_to(ROOT).parts)
)


def blocks(language: str) -> list[tuple[str, str]]:
    """Give the fenced blocks of a language with the document they stand in."""
    return [
        (str(document.relative_to(ROOT)), block)
        for document in DOCUMENTS
        for block in re.findall(
            rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    ]


async def shell(command: str, environment: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_shell(
        command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()
