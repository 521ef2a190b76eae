"""Repositories are compared in all their spellings, and what is not certain is neither a match nor a contradiction."""

from __future__ import annotations

import pytest

from whence_common.image_provenance import SourceClaim, choose
from whence_common.repositories import compare, repository_named
from whence_common.scm_source import ScmSource

SPELLINGS = (
    "https://git.example.org/team/app", "https://git.example.org/team/app.git", "https://git.example.org/team/app/",
    "https://git.example.org/team/app.git/", "https://GIT.Example.org/team/app", "HTTPS://git.example.org/team/app",
    "http://git.example.org/team/app", "https://ada:secret@git.example.org/team/app", "https://git.example.org:443/team/app",
    "ssh://git@git.example.org/team/app.git", "ssh://git@git.example.org:7999/team/app.git", "ssh://git.example.org/team/app",
    "git@git.example.org:team/app.git", "ada@git.example.org:team/app", "git.example.org:team/app",
    "git://git.example.org/team/app.git", "git:git@git.example.org:team/app.git", "git:https://git.example.org/team/app",
    "git+https://git.example.org/team/app.git", "git+ssh://git@git.example.org/team/app.git",
    "scm:git:git@git.example.org:team/app.git", "scm:git:https://git.example.org/team/app.git", " git.example.org/team/app ",
    "https://git.example.org/team/app/tree/main/sub", "https://git.example.org/team/app/-/issues",
    "https://git.example.org/team/app#readme", "https://git.example.org/team/app?at=main", "git.example.org/team/app.git",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_repository_is_the_same_in_all_its_spellings(spelling: str) -> None:
    assert {
        compare(spelling, other) for other in ("https://git.example.org/team/app", "git@git.example.org:team/app")
    } == {"same"}


@pytest.mark.parametrize(
    "one, other",
    [
        ("https://github.com/Team/App", "git@ssh.github.com:team/app.git"),
        ("https://www.github.com/team/app", "ssh://git@ssh.github.com:443/team/app.git"),
        ("https://bb.example.org/scm/proj/app.git", "ssh://git@bb.example.org:7999/proj/app.git"),
        ("https://bb.example.org/projects/PROJ/repos/app/browse", "https://bb.example.org/scm/proj/app.git"),
        ("https://bb.example.org/users/ada/repos/app", "https://bb.example.org/scm/~ada/app.git"),
        ("https://dev.azure.com/org/project/_git/app", "git@ssh.dev.azure.com:v3/org/project/app"),
        ("https://org.visualstudio.com/project/_git/app", "https://dev.azure.com/org/project/_git/app"),
        ("https://org.visualstudio.com/DefaultCollection/project/_git/app", "git@ssh.dev.azure.com:v3/org/project/app"),
        ("org@vs-ssh.visualstudio.com:v3/org/project/app", "https://org@dev.azure.com/org/project/_git/app"),
        ("https://dev.azure.com/org/_git/app", "https://dev.azure.com/org/app/_git/app"),
        ("https://api.github.com/repos/team/app", "https://github.com/team/app"),
        ("https://gitlab.example.org/g/sub/app/-/tree/main", "git@gitlab.example.org:g/sub/app.git"),
    ],
)
def test_servers_own_ways_to_write_a_repository_are_the_same(one: str, other: str) -> None:
    assert (compare(one, other), compare(other, one)) == ("same", "same")


@pytest.mark.parametrize(
    "other",
    [
        "https://git.example.org/team/other", "https://git.example.org/mallory/app", "https://evil.example.org/team/app",
        "git@git.example.org:team/app2.git", "https://git.example.org.evil.org/team/app", "git@github.com:team/app",
    ],
)  # fmt: skip
def test_another_repository_is_another(other: str) -> None:
    assert (compare("https://git.example.org/team/app", other), compare(other, "git@git.example.org:team/app")) == (
        "other", "other",
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        "", "see the wiki", "https://git.example.org/team", "https://git.example.org/Team/App", "git@work:team/app.git",
        "https://git.example.org/gitlab/team/app", "https://git.example.org:8443/team/app", "https://git.example.org/",
        "svn://git.example.org/team/app", "/srv/git/app.git", "https://git.example.org/team/app/docs", "http://h:99999/a",
        "ssh://git@ssh.git.example.org/team/app", "https://www.git.example.org/team/app", "https://10.0.0.5/team/app",
        "https://git.example.org/gitweb/?p=team/app.git",
    ],
)  # fmt: skip
def test_what_may_be_the_same_or_not_is_neither(other: str) -> None:
    here = "https://git.example.org/team/app"
    assert (compare(here, other), compare(other, here)) == ("unclear", "unclear")


@pytest.mark.parametrize(
    "one, other",
    [
        ("https://bb.example.org/projects/PROJ/repos/app", "ssh://git@bb.example.org:7999/proj/app.git"),
        ("https://dev.azure.com/org/project/_git/app", "git@ssh.dev.azure.com:v3/org/project/app"),
        ("https://github.com/Team/App", "ssh://git@ssh.github.com:443/team/app.git"),
        ("https://gerrit.example.org/a/app", "ssh://ada@gerrit.example.org:29418/app"),
    ],
)
def test_claims_that_spell_one_repository_in_two_ways_do_not_contradict_each_other(one: str, other: str) -> None:
    commit = "a" * 40
    sources = [ScmSource(url=url, revision=commit, author="", status="", digest="") for url in (one, other)]
    claims = [SourceClaim(kind="annotation", source=sources[0]), SourceClaim(kind="scm-source", source=sources[1])]
    assert choose(claims) == (claims[0], [])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_all_spellings_lead_to_one_subject(spelling: str) -> None:
    if "/tree/main" not in spelling:  # a page of an unknown server may be a path of its own
        assert str(repository_named(spelling)) == "git.example.org/team/app"


@pytest.mark.parametrize(
    "url, subject",
    [
        ("git@ssh.github.com:Team/App.git", "github.com/team/app"), ("https://www.github.com/team/app", "github.com/team/app"),
        ("ssh://git@ssh.github.com:443/team/app.git", "github.com/team/app"), ("GitHub.com/team/app", "github.com/team/app"),
        ("git@altssh.gitlab.com:g/s/t/app.git", "gitlab.com/g/s/t/app"), ("https://github.com/t/a/tree/main", "github.com/t/a"),
        ("https://gitlab.com/g/s/app/-/commit/abc", "gitlab.com/g/s/app"), ("https://github.com./t/a", "github.com/t/a"),
        ("https://git.example.org/g/s/app/-/tree/x", "git.example.org/g/s/app"), ("http://h.example.org:80/t/a", "h.example.org/t/a"),
        ("https://h.example.org:8443/t/a.git", "h.example.org:8443/t/a"), ("https://api.github.com/repos/t/a", "github.com/t/a"),
        ("http://127.0.0.1:4711/demo/app.git", "127.0.0.1:4711/demo/app"), ("ssh://git@h.example.org:7999/p/a", "h.example.org/p/a"),
        ("https://bb.example.org/scm/proj/app.git", "bb.example.org/scm/proj/app"), ("git@bb.example.org:~ada/app.git", "bb.example.org/~ada/app"),
    ],
)  # fmt: skip
def test_a_url_leads_to_the_repository_that_its_server_is_asked_for(url: str, subject: str) -> None:
    assert str(repository_named(url)) == subject


@pytest.mark.parametrize(
    "hostile",
    [
        "--upload-pack=touch ran", "-oProxyCommand=x:team/app", "ext::sh -c touch% ran", "fd::17", "file:///etc/passwd",
        "https://git.example.org/../../etc", "https://git.example.org/team/../other", "https://git.example.org//team//app",
        "https://git.example.org/team/app\n.git", "https://git.example.org/team/%2e%2e/app", "git@-oProxyCommand=x:team/app",
        "ssh://-oProxyCommand=x/team/app", "https://[::1]/team/app", "https://git.example.org:99999/team/app", "https:///team/app",
        "https://gít.example.org/team/app", "https://git.example.org\\@evil.org/team/app", "javascript:alert(1)", "https://",
        "git@git.example.org:", "git@git.example.org:-x/app", "https://git.example.org/-/app\x00", "https://" + "a" * 9_000 + "/x/y",
        "https://git.example.org/" + "x/" * 5_000 + "y", "\u202ehttps://git.example.org/team/app", "https://git.example.org/a b/c",
    ],
)  # fmt: skip
def test_a_hostile_url_names_no_repository_and_matches_none(hostile: str) -> None:
    assert repository_named(hostile) is None
    for other in ("https://git.example.org/team/app", "git@github.com:team/app"):
        assert compare(hostile, other) != "same"
        assert compare(other, hostile) != "same"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com@evil.org/team/app", "https://github.com:443@evil.org/team/app", "https://evil.org/github.com/team/app",
        "git@evil.org:github.com/team/app", "https://github.com.evil.org/team/app", "https://evil.org#@github.com/team/app",
        "https://evil.org?x=github.com/team/app", "ssh://github.com@evil.org/team/app",
    ],
)  # fmt: skip
def test_a_user_name_or_path_that_looks_like_a_host_is_none(url: str) -> None:
    assert compare(url, "https://github.com/team/app") != "same"
    found = repository_named(url)
    assert found is None or found.host != "github.com"
