"""`progtrain`: everything that works without a screen. One module a command, imported when it is called."""

import gc

# a command is over before there is garbage worth looking for, also while it imports what it needs
gc.set_threshold(100_000)
