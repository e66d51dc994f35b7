"""`python -m progtrain` is the command line."""

from progtrain.engine.cli.main import entry

entry()
