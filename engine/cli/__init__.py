"""`progtrain`: everything that works without a screen. One module a command, imported when it is called."""
