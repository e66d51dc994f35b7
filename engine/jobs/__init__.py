"""Child processes under guard."""
