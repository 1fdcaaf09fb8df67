"""Models with proof that they work elsewhere: one zip of files, golden data, and what runs them with numpy alone."""

from edgekit.bundle.build import BundleReport, make_bundle

__all__ = ["BundleReport", "make_bundle"]
