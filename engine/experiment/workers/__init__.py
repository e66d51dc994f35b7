"""Workers: each does one thing to one tool. A module here is all that another tool needs."""
