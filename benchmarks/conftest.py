"""Options for a run through a link to this folder: see `operations/conftest.py`."""

from .operations.conftest import pytest_addoption

__all__ = ["pytest_addoption"]
