"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: EDGEKIT_DATA, else ../shared/data; the test is skipped where there is none."""
    folder = Path(os.environ.get("EDGEKIT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder}; set EDGEKIT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_models() -> Path:
    """The folder of tiny models, each of a few kilobytes, that are read only; make_models.py beside them made them."""
    return Path(__file__).parent / "golden" / "models"
