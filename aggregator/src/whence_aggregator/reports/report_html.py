"""A report as one HTML file, without scripts and without anything from elsewhere. Everything in it is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from whence_aggregator.reports.report import ComplianceReport


class HtmlReports:
    """Renders reports. The template is in this package."""

    def __init__(self) -> None:
        loader = PackageLoader("whence_aggregator.reports", package_path="")
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._template = environment.get_template("report.html")

    def render(self, report: ComplianceReport) -> str:
        """Return the file's text."""
        return self._template.render(report=report)
