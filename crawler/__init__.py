"""The collection node: finds videos. Pages in; video records and frontier items out."""
