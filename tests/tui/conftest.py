"""Fixtures of real experiments, for the screen that shows them."""

from tests.experiment.conftest import faults, lab, planned  # noqa: F401 - fixtures
