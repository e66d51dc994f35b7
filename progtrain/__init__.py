"""Improve a training script version by version, one change at a time."""

__version__ = "0.1.0"
