"""Versions against each other."""
