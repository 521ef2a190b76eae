"""The code host and the tracker that a seeded history came from: GitHub with its pull requests, Jira with its tickets."""

from __future__ import annotations

from fakes.github_host import GithubHost, review
from fakes.jira_host import JiraHost
from landscape.made_history import PROJECT, REPOSITORY, History

CLOSED_EARLY = "2020-01-01T10:00:00Z"
"""Before every commit of a seeded history."""
AWAY = "SHOP-1"


def github_of(history: History) -> GithubHost:
    """Return GitHub with every pull request, and no pull request for commits that were pushed directly."""
    github = GithubHost(repository=REPOSITORY)
    for one in history.pulls:
        github.pull(
            one.number, commits=one.commits, merge=one.merge, head=one.head, base=one.base, title=one.title,
            body=one.text, branch=one.branch, listed_for=one.landed, reviews=(review("carol", commit=one.head),),
        )  # fmt: skip
    for commit in history.commits:
        github.answers.setdefault(github.at(f"/commits/{commit}/pulls"), [])
    for number in history.issues:
        fate = history.fates[f"#{number}"]
        if fate != "missing":
            github.issue(number, closed_at=CLOSED_EARLY if fate == "closed-early" else None)
    return github


def jira_of(history: History) -> JiraHost:
    """Return Jira with every ticket that is not missing."""
    jira = JiraHost()
    for name, fate in history.fates.items():
        if name.startswith("#") or fate == "missing":
            continue
        early = fate == "closed-early"
        key = {"moved": moved(name), "moved-away": AWAY}.get(fate, name)
        jira.issue(key, asked=name, category="done" if early else "indeterminate",
                   resolved="2020-01-01T10:00:00.000+0000" if early else None)  # fmt: skip
    return jira


def moved(ticket: str) -> str:
    """Return the key of a ticket that was moved within its project."""
    return f"{PROJECT}-9{ticket.rpartition('-')[2]}00"
