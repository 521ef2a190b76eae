"""Provenance as builders really write it: each shape names one source, or says why it names none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.envelope import seal
from whence_common.image_provenance import claims_of_buildkit, claims_of_provenance
from whence_common.image_trust import TrustedBuilder
from whence_common.scm_source import repository_of, same_repository
from whence_common.slsa_source import PROVENANCE_V02, PROVENANCE_V1, built_from

APP, CATALOGUE, LIBRARY = "a" * 40, "c" * 40, "b" * 40
URL = "https://git.example.org/alpha/app"
CATALOGUE_URL = "https://git.example.org/platform/catalogue"
BUILDKIT_V02 = "https://mobyproject.org/buildkit@v1"
BUILDKIT_V1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
TEKTON = "tekton.dev/v1beta1/PipelineRun"
GITLAB = "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v15.1.0/PROVENANCE.md"
GITHUB_V02 = "https://github.com/slsa-framework/slsa-github-generator/container@v1"
GITHUB_V1 = "https://actions.github.io/buildtypes/workflow/v1"
CLOUD_BUILD = "https://cloud.google.com/build/gcb-buildtypes/google-worker/v1"
DIGEST = "sha256:" + "1" * 64


def at(url: str, commit: str, *, key: str = "sha1", **members: str) -> dict[str, Any]:
    return {"uri": url, "digest": {key: commit}, **members}


def v02(build_type: str, *, config: dict[str, Any] | None = None, materials: Any = None) -> dict[str, Any]:
    return {
        "predicateType": PROVENANCE_V02,
        "predicate": {
            "builder": {"id": "x"}, "buildType": build_type, "invocation": {"configSource": config or {}},
            "materials": materials or [],
        },
    }  # fmt: skip


def v1(build_type: str, parameters: dict[str, Any], *dependencies: dict[str, Any]) -> dict[str, Any]:
    return {
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": parameters,
                "resolvedDependencies": list(dependencies),
            },
            "runDetails": {"builder": {"id": "x"}},
        },
    }


IMAGE = {"uri": "oci://registry.example.org/base", "digest": {"sha256": "9" * 64}}
PACKAGE = {"uri": "pkg:docker/python@3.11?platform=linux%2Famd64", "digest": {"sha256": "9" * 64}}
TARBALL = {"uri": "https://files.example.org/tool.tgz", "digest": {"sha256": "9" * 64, "sha1": LIBRARY}}
CONFIG = at(f"git+{CATALOGUE_URL}.git", CATALOGUE, entryPoint="pipeline.yaml")


def with_task(statement: dict[str, Any]) -> dict[str, Any]:
    """Add a task that was read from the catalogue, as Tekton Chains states a pipeline run's tasks."""
    task = {"name": "build", "invocation": {"configSource": CONFIG}}
    return {**statement, "predicate": {**statement["predicate"], "buildConfig": {"tasks": [task]}}}


NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "Tekton, the catalogue as configuration": (
        v02(TEKTON, config=CONFIG, materials=[IMAGE, at(f"git+{URL}.git", APP)]), APP),
    "Tekton, the catalogue among its materials too": (
        v02(TEKTON, config=CONFIG, materials=[CONFIG, IMAGE, at(f"git+{URL}.git", APP)]), APP),
    "Tekton, an inline pipeline with a catalogue's task": (
        with_task(v02(TEKTON, materials=[CONFIG, at(f"git+{URL}", APP)])), APP),
    "Tekton, configured inline": (v02(TEKTON, materials=[at(f"git+{URL}", APP)]), APP),
    "a builder not known, the catalogue as configuration": (
        v02("https://ci.example.org/v1", config=CONFIG, materials=[at(f"git+{URL}.git", APP)]), APP),
    "Tekton v1": (
        v1("https://tekton.dev/chains/v2/slsa",
           {"buildConfigSource": {"repository": f"git+{CATALOGUE_URL}", "ref": "sha1:" + CATALOGUE}},
           at(f"git+{CATALOGUE_URL}", CATALOGUE, name="pipeline"), at(f"git+{CATALOGUE_URL}", LIBRARY, name="task"),
           IMAGE, at(f"git+{URL}.git", APP, name="inputs/result")), APP),
    "GitHub generator v0.2": (
        v02(GITHUB_V02, config=at(f"git+{URL}@refs/heads/main", APP), materials=[at(f"git+{URL}@refs/heads/main", APP)]),
        APP),
    "GitHub attest-build-provenance": (
        v1(GITHUB_V1, {"workflow": {"repository": URL, "ref": "refs/tags/v1.2", "path": ".github/workflows/x.yml"}},
           at(f"git+{URL}@refs/tags/v1.2", APP, key="gitCommit")), APP),
    "GitHub, a library beside the workflow's repository": (
        v1(GITHUB_V1, {"workflow": {"repository": URL}}, at("git+https://git.example.org/a/library@v3", LIBRARY),
           at(f"git+{URL}@{APP}", APP, key="gitCommit")), APP),
    "GitLab runner v0.2, the commit under sha256": (v02(GITLAB, config=at(URL, APP, key="sha256")), APP),
    "GitLab runner v1": (
        v1(GITLAB, {"source": URL, "entryPoint": "build"}, at(URL, APP, key="sha256")), APP),
    "GitLab control plane v1": (
        v1("https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1", {"source": URL},
           at(URL, APP, key="gitCommit")), APP),
    "BuildKit v0.2, a remote context and a library": (
        v02(BUILDKIT_V02, config=at(f"{URL}.git#refs/heads/main", APP),
            materials=[PACKAGE, at(f"{URL}.git#refs/heads/main", APP), at("https://git.example.org/l/l.git#v1", LIBRARY)]),
        APP),
    "BuildKit v1, a remote context": (
        v1(BUILDKIT_V1, {"configSource": at(f"{URL}.git#refs/heads/main", APP, path="Dockerfile")}, PACKAGE), APP),
    "Cloud Build": (
        v1(CLOUD_BUILD, {"buildConfigSource": {"repository": f"git+{URL}", "ref": "refs/heads/main", "path": "c.yaml"}},
           at(f"git+{URL}@refs/heads/main", APP, key="gitCommit"), PACKAGE), APP),
    "Cloud Build, another source than the configuration's": (
        v1(CLOUD_BUILD, {"buildConfigSource": {"repository": f"git+{CATALOGUE_URL}"},
                         "sourceToBuild": {"repository": f"git+{URL}"}},
           at(f"git+{CATALOGUE_URL}", CATALOGUE, key="gitCommit"), at(f"git+{URL}", APP)), APP),
    "Cloud Build, as SLSA's own build type has it": (
        v1("https://slsa-framework.github.io/gcb-buildtypes/triggered-build/v1",
           {"buildConfigSource": {"repository": f"git+{CATALOGUE_URL}"}, "sourceToBuild": {"repository": f"git+{URL}"}},
           at(f"git+{CATALOGUE_URL}", CATALOGUE, key="gitCommit"), at(f"git+{URL}", APP, key="gitCommit")), APP),
    "Jenkins": (
        v02("https://www.jenkins.io/Pipeline", config=at(f"{URL}.git", APP), materials=[at(f"{URL}.git", APP)]), APP),
    "dependencies alone, sha1": (v1("https://x.example.org/b", {}, TARBALL, at(f"git+{URL}", APP)), APP),
    "the commit in the URI alone": (v1("https://x.example.org/b", {}, {"uri": f"git+{URL}@{APP}"}), APP),
    "a container based build": (
        v1("https://slsa.dev/container-based-build/v0.1", {"source": at(f"git+{URL}", APP)}), APP),
}  # fmt: skip


@pytest.mark.parametrize("statement, commit", NAMED.values(), ids=NAMED.keys())
def test_provenance_names_the_applications_commit(statement: dict[str, Any], commit: str) -> None:
    found = built_from(statement)
    assert found.source is not None, found.reason
    assert (found.source.commit, str(repository_of(found.source.url))) == (commit, "git.example.org/alpha/app")


UNCLEAR: dict[str, tuple[dict[str, Any], str]] = {
    "Tekton, the catalogue as configuration and material": (v02(TEKTON, config=CONFIG, materials=[CONFIG]), "no commit"),
    "Tekton, the application's own pipeline and a catalogue's task": (
        with_task(v02(TEKTON, config=at(f"git+{URL}", APP), materials=[at(f"git+{URL}", APP), CONFIG])), "no commit"),
    "Tekton, a catalogue's task and no input": (with_task(v02(TEKTON, materials=[CONFIG])), "no commit"),
    "Tekton, the catalogue alone": (v02(TEKTON, config=CONFIG), "no commit"),
    "Tekton v1, the catalogue alone": (
        v1("https://tekton.dev/chains/v2/slsa", {}, at(f"git+{CATALOGUE_URL}", CATALOGUE, name="task")), "no commit"),
    "GitLab, another project among the materials": (
        v02(GITLAB, config=at(CATALOGUE_URL, CATALOGUE, key="sha256"), materials=[at(f"git+{URL}", APP)]), "several"),
    "two materials": (
        v02("https://ci.example.org/v1", config=CONFIG,
            materials=[at(f"git+{URL}", APP), at("git+https://git.example.org/l/l", LIBRARY)]), "several sources"),
    "two commits of one repository": (
        v1("https://x.example.org/b", {}, at(f"git+{URL}", APP), at(f"git+{URL}", LIBRARY)), "several sources"),
    "a URI and a digest that disagree": (v1("https://x.example.org/b", {}, at(f"git+{URL}@{LIBRARY}", APP)), "several"),
    "two digests that disagree": (
        v1("https://x.example.org/b", {}, {"uri": f"git+{URL}", "digest": {"sha1": APP, "gitCommit": LIBRARY}}),
        "several"),
    "a builder not known, configuration alone": (
        v02("https://ci.example.org/v1", config=at(f"git+{URL}", APP)), "no source in its materials"),
    "the workflow's repository is not a dependency": (
        v1(GITHUB_V1, {"workflow": {"repository": URL}}, at("git+https://git.example.org/l/l", LIBRARY, key="gitCommit")),
        "no resolved dependency"),
    "BuildKit, a local context with a library": (
        v02(BUILDKIT_V02, config={"entryPoint": "Dockerfile"}, materials=[at("https://git.example.org/l/l.git", LIBRARY)]),
        "build context"),
    "no commit id": (v1("https://x.example.org/b", {}, at(f"git+{URL}", "main")), "no commit"),
    "a download": (v1("https://x.example.org/b", {}, TARBALL), "no commit"),
    "nothing": ({"predicateType": PROVENANCE_V1}, "no commit"),
    "rubbish": ({"predicateType": PROVENANCE_V02, "predicate": {"materials": 5, "invocation": []}}, "no source"),
    "too many": (v1("https://x.example.org/b", {}, *[at(f"git+{URL}", APP)] * 20_001), "more than 20000"),
}  # fmt: skip


@pytest.mark.parametrize("statement, reason", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_provenance_without_exactly_one_source_states_why(statement: dict[str, Any], reason: str) -> None:
    found = built_from(statement)
    assert found.source is None
    assert reason in found.reason


VCS = {"source": f"{URL}.git", "revision": APP, "localdir:context": "."}


@pytest.mark.parametrize(
    "kind, predicate",
    [
        (PROVENANCE_V02, {"buildType": BUILDKIT_V02, "invocation": {"configSource": {"entryPoint": "Dockerfile"}},
                          "metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": VCS}}}),
        (PROVENANCE_V1, {"buildDefinition": {"buildType": BUILDKIT_V1,
                                             "externalParameters": {"configSource": {"path": "Dockerfile"}}},
                         "runDetails": {"metadata": {"buildkit_metadata": {"vcs": VCS}}}}),
        (PROVENANCE_V1, {"buildDefinition": {"buildType": BUILDKIT_V1},
                         "runDetails": {"metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": VCS}}}}),
    ],
)  # fmt: skip
def test_buildkits_hint_for_a_local_context_is_a_claim(kind: str, predicate: dict[str, Any]) -> None:
    subject = [{"name": "_", "digest": {"sha256": "1" * 64}}]
    (claim,) = claims_of_buildkit(DIGEST, [{"subject": subject, "predicateType": kind, "predicate": predicate}])
    assert (claim.kind, claim.source.url, claim.source.revision, claim.source.dirty) == (
        "buildkit", f"{URL}.git", APP, False,
    )  # fmt: skip
    text = predicate | {}
    assert (
        claims_of_buildkit("sha256:" + "2" * 64, [{"subject": subject, "predicateType": kind, "predicate": text}]) == []
    )


def test_a_hint_for_a_changed_tree_is_a_dirty_claim() -> None:
    predicate = {"runDetails": {"metadata": {"buildkit_metadata": {"vcs": {**VCS, "revision": f"{APP}-dirty"}}}}}
    subject = [{"digest": {"sha256": "1" * 64}}]
    (claim,) = claims_of_buildkit(
        DIGEST, [{"subject": subject, "predicateType": PROVENANCE_V1, "predicate": predicate}]
    )
    assert (claim.source.commit_id, claim.source.dirty) == (APP, True)


@pytest.mark.parametrize(
    "spelling",
    [
        URL, f"{URL}.git", f"git+{URL}@{APP}", f"git+{URL}@v1.2", f"git+{URL}@refs/heads/feature/x", f"{URL}.git#main:dir",
        f"{URL}?ref=main", "git@git.example.org:alpha/app.git", "git@git.example.org:alpha/app.git@v1",
        "git+ssh://git@git.example.org/alpha/app@v1", "ssh://git@git.example.org:22/alpha/app.git",
        "git:https://user:s3cret@git.example.org/Alpha/App", "HTTPS://git.example.org/alpha/app/", "git://git.example.org/alpha/app",
        "git+https://user@git.example.org/alpha/app@v1.2",
    ],
)  # fmt: skip
def test_a_repository_is_the_same_in_every_spelling(spelling: str) -> None:
    assert same_repository(URL, spelling)


@pytest.mark.parametrize(
    "other", ["https://git.example.org/alpha/app2", "https://git.example.org/alpha", "https://evil.example.org/alpha/app",
              "https://git.example.org@evil.example.org/alpha/app", "git@evil.example.org:alpha/app@git.example.org"],
)  # fmt: skip
def test_another_repository_is_never_used_as_the_source(other: str) -> None:
    assert not same_repository(URL, other)


KEY = ec.generate_private_key(ec.SECP256R1())
BUILDERS = (TrustedBuilder(builder_id="x", key=KEY.public_key()),)


def signed(statement: dict[str, Any]) -> bytes:
    return seal(KEY, json.dumps({**statement, "subject": [{"digest": {"sha256": "1" * 64}}]}).encode())


def test_signed_provenance_is_a_claim_of_its_builder() -> None:
    statement = v02(TEKTON, config=CONFIG, materials=[at(f"git+{URL}.git", APP)])
    (claim,), unclear = claims_of_provenance(DIGEST, envelopes=[signed(statement)], builders=BUILDERS)
    assert (claim.kind, claim.by, claim.source.revision, unclear) == ("provenance", "x", APP, [])


def test_signed_provenance_with_several_sources_is_not_a_claim_and_states_why() -> None:
    statement = v1("https://x.example.org/b", {}, at(f"git+{URL}", APP), at("git+https://git.example.org/l/l", LIBRARY))
    claims, (reason,) = claims_of_provenance(DIGEST, envelopes=[signed(statement)], builders=BUILDERS)
    assert claims == []
    assert reason.startswith(f"the provenance of x does not name one source: it names several sources: {APP} of")


def test_a_signed_hint_of_buildkits_client_stays_a_hint() -> None:
    statement = v1(BUILDKIT_V1, {"configSource": {"path": "Dockerfile"}})
    statement["predicate"]["runDetails"]["metadata"] = {"buildkit_metadata": {"vcs": VCS}}
    (claim,), unclear = claims_of_provenance(DIGEST, envelopes=[signed(statement)], builders=BUILDERS)
    assert (claim.kind, claim.by, claim.source.revision, unclear) == ("buildkit", "", APP, [])


def test_signed_provenance_of_another_version_is_reported_as_unsupported() -> None:
    statement = {**v02(TEKTON), "predicateType": "https://slsa.dev/provenance/v0.1"}
    claims, unclear = claims_of_provenance(DIGEST, envelopes=[signed(statement)], builders=BUILDERS)
    assert (claims, unclear) == (
        [], ["signed provenance has an unsupported predicate type: https://slsa.dev/provenance/v0.1"],
    )  # fmt: skip
