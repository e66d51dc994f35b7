"""The terminal app: a view of a workspace's files and a way to answer the loop's questions."""
