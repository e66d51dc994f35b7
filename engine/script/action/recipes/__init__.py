"""Recipes: changes that a practitioner would make to a Lightning script, one in each module of this folder.

Adding one takes its module, with a `RECIPE` in it, and its test; everything else finds it here.
"""
