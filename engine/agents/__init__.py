"""Agents: a workspace for programs that speak MCP, and snapshots of what other MCP servers say, kept as evidence."""
