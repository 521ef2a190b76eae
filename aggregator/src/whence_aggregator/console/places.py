"""The pages of the console, by their addresses below /console."""

from __future__ import annotations

from whence_aggregator.console.application import show_application
from whence_aggregator.console.applications import show_applications
from whence_aggregator.console.deployments import show_changes
from whence_aggregator.console.difference import show_diff
from whence_aggregator.console.entry_files import save_receipt, save_statement
from whence_aggregator.console.instance import show_instance
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import PageAddress, PageAddresses
from whence_aggregator.console.traced_subject import show_commit, show_image, show_ticket
from whence_aggregator.console.version import show_version

PLACES: PageAddresses = (
    PageAddress(path="/", show=show_overview),
    PageAddress(path="/applications", show=show_applications),
    PageAddress(path="/applications/{id}", show=show_application),
    PageAddress(path="/applications/{id}/versions/{version}", show=show_version),
    PageAddress(path="/images/{digest}", show=show_image),
    PageAddress(path="/commits/{commit}", show=show_commit),
    PageAddress(path="/tickets/{ticket:.+}", show=show_ticket),
    PageAddress(path="/changes", show=show_changes),
    PageAddress(path="/diff", show=show_diff),
    PageAddress(path="/instances/{id}", show=show_instance),
    PageAddress(path="/statements/{digest}", show=save_statement),
    PageAddress(path="/receipts/{name}", show=save_receipt),
)
