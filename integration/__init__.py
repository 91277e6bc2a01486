"""The integration node: parts of all nodes in; consistent tables, then a release, out."""
