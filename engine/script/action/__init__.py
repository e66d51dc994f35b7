"""The one change of a version: applied, checked, undone."""
