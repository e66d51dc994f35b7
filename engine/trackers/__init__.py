"""Trackers: versions written into the files and stores of other tools, runs read from them, and results published."""
