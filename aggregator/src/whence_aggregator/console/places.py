"""The pages of the console, by their addresses below /console."""

from __future__ import annotations

from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import PageAddress, PageAddresses
from whence_aggregator.console.search import search

PLACES: PageAddresses = (
    PageAddress(path="/", show=show_overview),
    PageAddress(path="/search", show=search),
)
