"""A release's interactions, and what each user's sequence is split into."""
