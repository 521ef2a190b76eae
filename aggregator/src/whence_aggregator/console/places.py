"""The pages of the console, by their addresses below /console."""

from __future__ import annotations

from whence_aggregator.console.entry_files import save_receipt, save_statement
from whence_aggregator.console.instance import show_instance
from whence_aggregator.console.instances import show_instances
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import PageAddress, PageAddresses

PLACES: PageAddresses = (
    PageAddress(path="/", show=show_overview),
    PageAddress(path="/instances", show=show_instances),
    PageAddress(path="/instances/{id}", show=show_instance),
    PageAddress(path="/statements/{digest}", show=save_statement),
    PageAddress(path="/receipts/{name}", show=save_receipt),
)
