"""Commits signed by real ssh-keygen and gpg, with keys of our own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from landscape.bare import TREE, Bare


class SshKey:
    """A key of ssh-keygen."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.path)], check=True)
        self.public = " ".join(self.path.with_suffix(".pub").read_text(encoding="ascii").split()[:2])

    def sign(self, bare: Bare, *, mail: str = "ada@example.org", date: int = 1_763_800_000) -> str:
        settings = ("gpg.format=ssh", f"user.signingkey={self.path}")
        return signed(bare, settings, mail=mail, date=date)


class PgpKey:
    """A key of gpg, in a home of its own; its path is short, because gpg's agent listens on a socket in it."""

    def __init__(self, mail: str, *, expires: str = "0", made: str = "") -> None:
        self._directory = TemporaryDirectory(prefix="gpg-")
        self.home = Path(self._directory.name)
        self.mail = mail
        faked = ("--faked-system-time", made) if made else ()
        self.gpg(*faked, "--passphrase", "", "--quick-generate-key", f"Ada <{mail}>", "ed25519", "sign", expires)

    def gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *arguments]
        return subprocess.run(command, check=True, capture_output=True, env=self._environment).stdout

    def export(self, path: Path, *, armour: bool = True) -> str:
        path.write_bytes(self.gpg(*(("--armor",) if armour else ()), "--export", self.mail))
        return str(path)

    def sign(self, bare: Bare, *, faked: str = "") -> str:
        program = self.home / "faked-gpg"
        options = f"--faked-system-time {faked}" if faked else ""
        program.write_text(f'#!/bin/sh\nexec gpg {options} "$@"\n', encoding="ascii")
        program.chmod(0o755)
        settings = (f"user.signingkey={self.mail}", f"gpg.program={program}")
        return signed(bare, settings, mail=self.mail, variables=self._environment)

    def end(self) -> None:
        """End the agent that gpg started, and remove the key."""
        subprocess.run(["gpgconf", "--kill", "all"], check=False, env=self._environment)
        self._directory.cleanup()

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home)}


def signed(
    bare: Bare, settings: tuple[str, ...], *, mail: str, date: int = 1_763_800_000,
    variables: dict[str, str] | None = None,
) -> str:  # fmt: skip
    """Make a signed commit on main, and return its id."""
    environment = {"PATH": os.environ["PATH"], **(variables or {})}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": mail, f"GIT_{who}_DATE": f"@{date} +0000"}
    options = [part for one in settings for part in ("-c", one)]
    made = subprocess.run(
        ["git", "--git-dir", str(bare.path), *options, "commit-tree", "-S", TREE, "-m", f"signed by {mail}"],
        check=True, capture_output=True, env=environment,
    ).stdout.decode().strip()  # fmt: skip
    bare.git("update-ref", "refs/heads/main", made)
    return made
