"""Measured values: curves, samples, data."""
