"""Reads a release: pairs, items, users and media, without copying anything."""
