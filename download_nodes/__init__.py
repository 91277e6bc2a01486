"""The download nodes: frontier items in; verified bytes, measurements and comments out."""
