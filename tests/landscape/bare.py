"""Bare repositories with histories of every shape, made without a work tree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_IDENTITY = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
             (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}  # fmt: skip
TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Bare:
    """A bare repository that a Git server serves; commits are made without a work tree."""

    def __init__(self, root: Path, name: str = "app") -> None:
        self.name, self.path = name, root / f"{name}.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.path)], check=True)
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("hash-object", "-w", "-t", "tree", "--stdin", given=b"")

    def git(self, *arguments: str, given: bytes | None = None, date: str = "@1763800000 +0000") -> str:
        return subprocess.run(
            ["git", "--git-dir", str(self.path), *arguments], input=given, check=True, capture_output=True,
            env={"PATH": os.environ["PATH"], **_IDENTITY, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        ).stdout.decode().strip()  # fmt: skip

    def commit(self, message: str, *parents: str, branch: str | None = None, date: int = 1_763_800_000) -> str:
        names = [argument for parent in parents for argument in ("-p", parent)]
        made = self.git("commit-tree", TREE, *names, "-m", message, date=f"@{date} +0000")
        if branch is not None:
            self.git("update-ref", f"refs/heads/{branch}", made)
        return made

    def history(self, length: int, *, branch: str = "main") -> list[str]:
        """Make a line of commits quickly, oldest first."""
        stream = "".join(
            f"commit refs/heads/{branch}\nmark :{one}\ncommitter Ada <a@b.c> {1_600_000_000 + one} +0000\n"
            f"data 1\nx\n{f'from :{one - 1}' if one > 1 else ''}\n"
            for one in range(1, length + 1)
        )
        self.git("fast-import", "--quiet", given=stream.encode())
        return self.git("rev-list", "--reverse", branch).split()
