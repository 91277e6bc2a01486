"""The sites that yt-dlp knows, read by its extractors; all that they ask for goes through `ask`."""
