"""Results beside the paper's tables and the floors, as Markdown, HTML and LaTeX."""
