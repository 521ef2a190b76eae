"""Which proxy a URL uses: settings, the environment, and the hosts that are always reached directly."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence_agent.adapters.platform_files import proxies_of
from whence_agent.proxies import Proxies, passwords
from whence_agent.settings import parse_settings
from whence_common.settings_file import SettingsInvalid

PROXY = "http://proxy.example.org:3128"


def by(no_proxy: str) -> Proxies:
    return Proxies.of_environment({"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy})


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/user-data",
        "http://[fd00:ec2::254]/latest/user-data",
        "http://169.254.170.2/v2/credentials",
        "http://127.0.0.1:7380/status",
        "http://127.8.9.10/",
        "http://[::1]:8080/health",
        "http://localhost:8080/health",
        "https://registry.localhost/v2/",
    ],
)
def test_the_metadata_service_and_loopback_never_use_a_proxy(url: str) -> None:
    assert by("").url_for(url) == ""


@pytest.mark.parametrize(
    "no_proxy, url, direct",
    [
        ("", "https://s3.eu-central-1.amazonaws.com/x", False),
        ("*", "https://s3.eu-central-1.amazonaws.com/x", True),
        ("amazonaws.com", "https://s3.eu-central-1.amazonaws.com/x", True),
        (".amazonaws.com", "https://s3.eu-central-1.amazonaws.com/x", True),
        ("*.amazonaws.com", "https://s3.eu-central-1.amazonaws.com/x", True),
        (".example.org", "https://example.org/", True),
        ("example.org", "https://notexample.org/", False),
        ("example.org", "https://example.org.evil.test/", False),
        ("EXAMPLE.org", "https://registry.Example.ORG./v2/", True),
        ("registry.example.org:5000", "https://registry.example.org:5000/v2/", True),
        ("registry.example.org:5000", "https://registry.example.org/v2/", False),
        ("registry.example.org:443", "https://registry.example.org/v2/", True),
        ("10.0.0.0/8", "http://10.1.2.3:5000/v2/", True),
        ("10.0.0.0/8", "http://11.1.2.3:5000/v2/", False),
        ("10.0.0.0/8", "https://registry.example.org/v2/", False),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("10.1.2.3:5000", "http://10.1.2.3:5000/", True),
        ("10.1.2.3:5000", "http://10.1.2.3/", False),
        ("fd12::/16", "http://[fd12::1]:5000/", True),
        ("[fd12::1]:5000", "http://[fd12::1]:5000/", True),
        ("[fd12::1]:5000", "http://[fd12::1]/", False),
        ("fd12::1", "http://[fd12:0:0::1]/", True),
        ("a.test, b.test c.test", "https://x.c.test/", True),
        (",, ,", "https://x.c.test/", False),
        (".", "https://x.c.test/", False),
        ("10.0.0.0/99", "https://x.c.test/", False),
    ],
)
def test_no_proxy_is_interpreted_as_by_curl_and_go(no_proxy: str, url: str, direct: bool) -> None:
    assert (by(no_proxy).url_for(url) == "") is direct


def test_each_scheme_has_its_proxy_and_lower_case_variables_take_precedence() -> None:
    found = Proxies.of_environment({"https_proxy": "small:3128", "HTTPS_PROXY": "http://big:3128"})
    assert found.url_for("https://a.test/") == "http://small:3128"
    assert found.url_for("http://a.test/") == ""
    assert not Proxies.of_environment({"ALL_PROXY": PROXY, "NO_PROXY": "x"})


def settings(text: str) -> Proxies:
    return proxies_of(parse_settings(b"aggregator_url: https://w.test\n" + text.encode(), name="t"), by(""))


def test_the_setting_replaces_the_environment_and_an_empty_one_means_no_proxy() -> None:
    assert settings("").url_for("https://a.test/") == PROXY
    assert settings("proxy: {}\n").url_for("https://a.test/") == ""
    given = settings("proxy: {https: 'http://p.test:1', no_proxy: [b.test]}\n")
    assert (given.url_for("https://a.test/"), given.url_for("https://b.test/"), given.url_for("http://a.test/")) == (
        "http://p.test:1", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text, said",
    [
        ("proxy: {https: 'socks5://user:hunter2@p.test:1080'}", "proxy.https must be an http or https URL of a host"),
        ("proxy: {http: 'http://'}", "proxy.http must be"),
        ("proxy: {http: 'http://p.test:99999'}", "proxy.http must be"),
        ("proxy: {http: 'http://p.test:1/path'}", "proxy.http must be"),
        ("proxy: {http: 'http://[::1]x'}", "proxy.http must be"),
        ("proxy: {http: 'p.test:3128'}", "proxy.http must be"),
        ("proxy: {https: 'http://p.test:1', no_proxy: ['a b']}", "proxy.no_proxy: 'a b' is not a host"),
        ("proxy: {ftp: 'http://p.test:1'}", "proxy"),
        ("proxy: {https: 'http://p.test:1', login_file: /nowhere}", "proxy.login_file: /nowhere cannot be read"),
    ],
)
def test_an_unusable_proxy_ends_the_start_without_showing_its_password(text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        settings(text + "\n")
    assert said in caught.value.message
    assert "hunter2" not in caught.value.diagnostics()


@pytest.mark.parametrize("proxy", ["http://[fd12::7]:3128", "https://proxy.example.org", "http://10.0.0.1:3128/"])
def test_a_proxy_may_have_an_address_and_use_tls(proxy: str) -> None:
    assert settings(f"proxy: {{https: '{proxy}'}}\n").url_for("https://a.test/") == proxy


def test_an_unusable_proxy_of_the_environment_ends_the_start_too() -> None:
    read = parse_settings(b"aggregator_url: https://w.test\n", name="t")
    with pytest.raises(SettingsInvalid, match=r"environment\.https must be") as caught:
        proxies_of(read, Proxies.of_environment({"HTTPS_PROXY": "ftp://user:hunter2@p.test"}))
    assert "hunter2" not in caught.value.diagnostics()


def test_a_login_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("us er:p@ss:word/1\n", encoding="ascii")
    found = settings(f"proxy: {{https: 'http://p.test:1', login_file: {file}}}\n")
    assert found.url_for("https://a.test/") == "http://us%20er:p%40ss%3Aword%2F1@p.test:1"
    assert "p.test" not in repr(found)
    assert "p@ss:word/1" in list(passwords(found))
    file.write_text("alone", encoding="ascii")
    with pytest.raises(SettingsInvalid, match="is not one line with USER:PASSWORD"):
        settings(f"proxy: {{https: 'http://p.test:1', login_file: {file}}}\n")
