"""Campaigns: variants of several versions, trained one after the other and held against each other."""
