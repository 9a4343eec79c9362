"""The page of a report: charts drawn as SVG, in one file that needs no other."""

from collector.adapters.report.page import page_of

__all__ = ["page_of"]
