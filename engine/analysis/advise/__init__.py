"""From measurements to what could be changed."""
