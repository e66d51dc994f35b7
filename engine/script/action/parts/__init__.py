"""The parts of a script that recipes change: finding them, and the ways in which they are changed."""
