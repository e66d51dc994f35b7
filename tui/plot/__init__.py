"""Curves in terminal cells, without numpy: the app's first frame would wait for it."""
