"""Where the steps' SQL runs."""
