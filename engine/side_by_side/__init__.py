"""Versions and external models over the same samples, side by side."""
