"""Parses the claims of CI systems' tokens into jobs. Pure.

Source of the claims: the systems' own references, as of 2026. Rules match projects by id, because a name may be
reassigned after a rename or a deletion, and an id is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from whence_aggregator.ports import Unauthenticated

Provider = Literal["github", "gitlab", "buildkite", "circleci", "aws"]
PROVIDERS: tuple[Provider, ...] = ("github", "gitlab", "buildkite", "circleci", "aws")
_TEXT_CHARACTERS_MAX = 500
_GITHUB_HOST = "token.actions.githubusercontent.com"
_CIRCLECI = "oidc.circleci.com"
_STS = "https://sts.amazonaws.com/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A CI job. A property that its token does not state is empty or None."""

    provider: Provider
    issuer: str
    project_id: str
    """The id of the repository, project or pipeline; for AWS the ARN of the role."""
    project: str = ""
    """Its current name, for display: `hello/greeter`."""
    owner_id: str = ""
    source_url: str = ""
    """The URL that the repository is cloned from; empty if the token does not state it."""
    ref: str = ""
    """The complete ref, such as `refs/heads/main`."""
    ref_protected: bool | None = None
    environment: str = ""
    event: str = ""
    runner: str = ""
    workflow: str = ""
    """The file that defines the job, with its ref."""
    commit: str = ""
    run: str = ""
    attempt: str = ""

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.project or self.project_id}"

    def to_wire(self) -> dict[str, Any]:
        """Return the job as it is recorded, without empty properties."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Job:
        return cls(**{name: wire[name] for name in cls.__dataclass_fields__ if name in wire})


def job_of(provider: Provider, issuer: str, claims: Mapping[str, Any], *, source_server: str | None = None) -> Job:
    """Return the job that verified claims describe. `source_server` is the URL of the Git host if not the issuer's own.

    Raises Unauthenticated if a required claim is missing or invalid.
    """
    return _READERS[provider](issuer, claims, source_server)


def _github(issuer: str, claims: Mapping[str, Any], source_server: str | None) -> Job:
    project = _text(claims, "repository", needed=True)
    return Job(
        provider="github", issuer=issuer, project_id=_text(claims, "repository_id", needed=True), project=project,
        owner_id=_text(claims, "repository_owner_id"),
        source_url=f"{(source_server or _github_server(issuer)).rstrip('/')}/{project}",
        ref=_text(claims, "ref"), ref_protected=_flag(claims.get("ref_protected")),
        environment=_text(claims, "environment"), event=_text(claims, "event_name"),
        runner=_text(claims, "runner_environment"),
        workflow=_text(claims, "job_workflow_ref") or _text(claims, "workflow_ref"),
        commit=_text(claims, "sha"), run=_text(claims, "run_id"), attempt=_text(claims, "run_attempt"),
    )  # fmt: skip


def _github_server(issuer: str) -> str:
    """Return the URL of an issuer's repositories: github.com, SUB.ghe.com, or the host of the Enterprise Server."""
    host = urlsplit(issuer).netloc
    if host == _GITHUB_HOST:
        return "https://github.com"
    return f"https://{host.removeprefix('token.actions.')}"


def _gitlab(issuer: str, claims: Mapping[str, Any], source_server: str | None) -> Job:
    project, ref, kind = _text(claims, "project_path", needed=True), _text(claims, "ref"), _text(claims, "ref_type")
    named = f"refs/{'tags' if kind == 'tag' else 'heads'}/{ref}" if kind in ("branch", "tag") and ref else ""
    return Job(
        provider="gitlab", issuer=issuer, project_id=_text(claims, "project_id", needed=True), project=project,
        owner_id=_text(claims, "namespace_id"), source_url=f"{(source_server or issuer).rstrip('/')}/{project}",
        ref=_text(claims, "ref_path") or named, ref_protected=_flag(claims.get("ref_protected")),
        environment=_text(claims, "environment"), event=_text(claims, "pipeline_source"),
        runner=_text(claims, "runner_environment"), workflow=_text(claims, "ci_config_ref_uri"),
        commit=_text(claims, "sha"), run=_text(claims, "pipeline_id"), attempt=_text(claims, "job_id"),
    )  # fmt: skip


def _buildkite(issuer: str, claims: Mapping[str, Any], _: str | None) -> Job:
    """Return a Buildkite job. `organization_id` and `pipeline_id` are optional claims that the job must request."""
    tag, branch = _text(claims, "build_tag"), _text(claims, "build_branch")
    return Job(
        provider="buildkite", issuer=issuer, project_id=_text(claims, "pipeline_id", needed=True),
        project=f"{_text(claims, 'organization_slug')}/{_text(claims, 'pipeline_slug')}",
        owner_id=_text(claims, "organization_id", needed=True),
        ref=f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else "",
        event=_text(claims, "build_source"), runner=_text(claims, "runner_environment"),
        commit=_text(claims, "build_commit"), run=_text(claims, "build_number"), attempt=_text(claims, "job_id"),
    )  # fmt: skip


def _circleci(issuer: str, claims: Mapping[str, Any], _: str | None) -> Job:
    if _flag(claims.get(f"{_CIRCLECI}/ssh-rerun")) is not False:
        raise Unauthenticated(
            "workload-ssh",
            "the job was rerun with SSH, or does not state that it was not",
            fix="run the workflow again without SSH",
        )
    return Job(
        provider="circleci", issuer=issuer, project_id=_text(claims, f"{_CIRCLECI}/project-id", needed=True),
        ref=_text(claims, f"{_CIRCLECI}/vcs-ref"), run=_text(claims, f"{_CIRCLECI}/workflow-id"),
        attempt=_text(claims, f"{_CIRCLECI}/job-id"),
    )  # fmt: skip


def _aws(issuer: str, claims: Mapping[str, Any], _: str | None) -> Job:
    """Return the role of a token of GetWebIdentityToken as a job.

    Raises Unauthenticated unless `sub` and `principal_id` are the same role, of the stated account.
    """
    inner = claims.get(_STS)
    stated = inner if isinstance(inner, dict) else {}
    role = _text(stated, "principal_id") or _text(claims, "sub", needed=True)
    account = _text(stated, "aws_account", needed=True)
    if role.split(":")[4:5] != [account] or _text(claims, "sub", needed=True) != role:
        raise Unauthenticated(
            "workload-subject", "subject, principal and account of the token do not belong to the same role",
            fix="request the token as the role itself, with SubjectMode unset",
        )  # fmt: skip
    return Job(provider="aws", issuer=issuer, project_id=role, owner_id=account)


_READERS: Mapping[Provider, Callable[[str, Mapping[str, Any], str | None], Job]] = {
    "github": _github, "gitlab": _gitlab, "buildkite": _buildkite, "circleci": _circleci, "aws": _aws,
}  # fmt: skip


def _text(claims: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    """Return a claim that is a string or an integer, as text; empty for anything else."""
    value = claims.get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    fits = isinstance(text, str) and 0 < len(text) <= _TEXT_CHARACTERS_MAX and text.isprintable()
    if needed and not fits:
        raise Unauthenticated("workload-claims", f"the token has no valid claim {name}", fix="request it in the job")
    return str(text) if fits else ""


def _flag(value: object) -> bool | None:
    """Return a boolean, which several systems write as a string; None for anything else."""
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, str | bool) else None
