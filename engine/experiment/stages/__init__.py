"""The stages of an experiment: what is done in which order. No stage knows a tool."""
