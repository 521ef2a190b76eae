"""The arguments and environment for every call of Git: no configured program runs, and no secret is passed on.

A repository is untrusted. Its configuration can name programs (git-config(1)); the options here take precedence. The
environment is built from scratch: no variable of ours (WHENCE_*, AWS_*, passwords) or of Git's is inherited.
NOTE: `filter.<name>.clean` and `include.path` cannot be switched off by name. Therefore no repository's own
configuration is read: collectors work in clones that they created, and `whence attest` in a Git directory of its own
(whence/git_checkout.py).
"""

from __future__ import annotations

from collections.abc import Sequence

PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
_NOTHING = "/dev/null"
_NO_PROGRAM = "/bin/false"
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": _NOTHING,
    "core.attributesFile": _NOTHING,
    "core.excludesFile": _NOTHING,
    "core.sshCommand": _NO_PROGRAM,
    "core.askPass": _NO_PROGRAM,
    "core.editor": _NO_PROGRAM,
    "core.alternateRefsCommand": _NO_PROGRAM,
    "core.pager": "cat",
    "core.gitProxy": "none",
    "credential.helper": "",  # an empty value clears the list of helpers
    "gpg.program": _NO_PROGRAM,
    "gpg.ssh.program": _NO_PROGRAM,
    "gpg.x509.program": _NO_PROGRAM,
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "http.followRedirects": "false",
    "protocol.version": "2",
    "protocol.allow": "never",
}


def git_arguments(
    *arguments: str, program: str = "git", protocols: Sequence[str] = (), settings: Sequence[str] = ()
) -> list[str]:
    """Return the command line. `settings` (`name=value`) follow those that always apply."""
    allowed = [f"protocol.{one}.allow=always" for one in protocols]
    always = [f"{name}={value}" for name, value in _SETTINGS.items()]
    options = [part for one in (*always, *allowed, *settings) for part in ("-c", one)]
    return [program, "--no-pager", "--no-optional-locks", *options, *arguments]


def git_environment(*, protocols: Sequence[str] = (), path: str = PROGRAMS) -> dict[str, str]:
    """Return the whole environment: Git may use only `protocols`, and never prompts."""
    return {
        "PATH": path,
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": _NOTHING,
        "GIT_CONFIG_GLOBAL": _NOTHING,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": _NO_PROGRAM,
        "SSH_ASKPASS": _NO_PROGRAM,
        "GIT_SSH_COMMAND": _NO_PROGRAM,
        "GIT_EDITOR": _NO_PROGRAM,
        "GIT_PAGER": "cat",
        "GIT_ALLOW_PROTOCOL": ":".join(protocols) or "none",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
