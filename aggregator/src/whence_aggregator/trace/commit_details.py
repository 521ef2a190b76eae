"""What a commit's facts add to its link: people, parents, signature, and a history that was rewritten. Pure.

Facts of version 1 have fewer members; what they lack is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from whence_aggregator.trace.facts import Answer

_ALWAYS = ("repository", "subject", "author", "committed_at")
_SINCE_VERSION_2 = ("authored_at", "committer", "parents", "trailers", "message_cut")
_BRANCH = ("branch", "head", "reachable")
_BRANCH_LATER = ("reached_by", "gone", "moved_to", "protection")
"""Members since versions 2 and 3."""
_HOSTS = ("noreply@github.com", "noreply@gitlab.com")
"""Addresses of the keys with which code hosts sign what anybody commits in their pages."""
NOT_VERIFIED = "it was not verified yet"


def commit_members(commit: Answer) -> dict[str, Any]:
    """Return the members of the link's value that the commit object states."""
    shown = {name: commit.value[name] for name in _ALWAYS}
    return shown | {name: commit.value[name] for name in _SINCE_VERSION_2 if name in commit.value}


def branch_members(branch: Answer) -> dict[str, Any]:
    """Return what the protected branches and tags state about the commit."""
    shown = {name: branch.value.get(name) for name in _BRANCH}
    return shown | {name: branch.value[name] for name in _BRANCH_LATER if branch.value.get(name)}


def signature_members(commit: Answer, signature: Answer) -> dict[str, Any] | None:
    """Return the commit's signature: `good`, `bad`, `unknown key`, `none` or `unknown`; None if it was never read.

    A signature verifies for whoever has the key: whether that is the committer is another question.
    """
    form = commit.value.get("signature_form")
    if form is None:
        return None
    if form == "none":
        return {"state": "none", "form": "none"}
    if signature.outcome != "found":
        return {"state": "unknown", "form": form, "reason": signature.reason or NOT_VERIFIED}
    value = signature.value
    shown = {name: value.get(name, "") for name in ("state", "form", "signer", "key")}
    shown |= {"verified_at": signature.observed_at, "reason": signature.reason}
    if shown["signer"]:
        mail, by_host = str(commit.value.get("committer_mail", "")), is_host_signature(value)
        shown["signer_class"] = "host" if by_host else "person"
        shown["signer_is_committer"] = not by_host and is_signer(str(shown["signer"]), mail)
    return shown


def is_host_signature(value: Mapping[str, Any]) -> bool:
    """Return whether a code host signed a commit: it signs what anybody commits in its pages.

    Facts recorded before this was told apart have the address of the host's key only.
    """
    return bool(value.get("by_host")) or _mail_of(str(value.get("signer", ""))).lower() in _HOSTS


def unproved_author(commit: Answer, signature: Answer) -> str:
    """Return why the author of a commit is only what the commit states; empty if a good signature is the author's.

    Whoever commits chooses the names and addresses in the commit.
    """
    value = commit.value
    name, mail = str(value.get("commit", "")), str(value.get("committer_mail", ""))
    shown = signature_members(commit, signature) or {"state": "unknown"}
    if shown["state"] != "good":
        return not_proved(name, {"none": "it is not signed"}.get(shown["state"], f"its signature is {shown['state']}"))
    if shown.get("signer_class") == "host":
        return not_proved(name, "its code host signed it, for whoever committed in its pages")
    if not shown.get("signer_is_committer") or set("*?[") & set(str(shown["signer"])):
        return not_proved(name, f"{shown['signer'][:100]} signed it, who is not its committer")
    if not mail or mail.lower() != str(value.get("author_mail", "")).lower():
        return not_proved(name, "its committer signed it and names another author")
    return ""


def not_proved(commit_id: str, why: str) -> str:
    """Return the reason that the author of a commit is not proved, with what to do."""
    which = f"commit {commit_id[:12]}" if commit_id else "the commit"
    return (
        f"it is not proved who wrote {which}: {why}; have authors sign commits with keys in `commit_trust`, or with "
        "keys that the code host verifies"
    )


def is_signer(signer: str, mail: str) -> bool:
    """Return whether a principal of allowed_signers, or an OpenPGP user id, is of this address."""
    if not mail:
        return False
    return any(fnmatchcase(mail.lower(), one.strip().lower()) for one in _mail_of(signer).split(","))


def _mail_of(signer: str) -> str:
    return signer[signer.rindex("<") + 1 :].rstrip(">") if "<" in signer else signer


def disproved(branch: Answer, signature: Mapping[str, Any] | None) -> str | None:
    """Return what contradicts the commit: its history was rewritten, or its signature is bad."""
    gone = branch.value.get("gone")
    if gone:
        return (
            f"the history was rewritten: {branch.value.get('branch')} reached it at {gone['reached_at']} "
            f"and did not at {branch.observed_at}"
        )
    if signature is not None and signature["state"] == "bad":
        return f"its signature is bad: {signature['reason']}"
    return None
