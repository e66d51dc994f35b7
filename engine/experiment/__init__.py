"""Experiments: one question, a plan, and runs that answer it, here or on a cluster."""
