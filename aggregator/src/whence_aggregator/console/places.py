"""The pages of the console, by their addresses below /console."""

from __future__ import annotations

from whence_aggregator.console.account import show_account, show_accounts
from whence_aggregator.console.ami import show_ami
from whence_aggregator.console.me import show_me
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import PageAddress, PageAddresses
from whence_aggregator.console.person import show_person
from whence_aggregator.console.search import search
from whence_aggregator.console.team import show_team

PLACES: PageAddresses = (
    PageAddress(path="/", show=show_overview),
    PageAddress(path="/search", show=search),
    PageAddress(path="/teams/{id}", show=show_team),
    PageAddress(path="/accounts", show=show_accounts),
    PageAddress(path="/accounts/{id}", show=show_account),
    PageAddress(path="/amis/{id}", show=show_ami),
    PageAddress(path="/people/{uid}", show=show_person),
    PageAddress(path="/me", show=show_me),
)
