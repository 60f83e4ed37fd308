"""The report of a run: one HTML file that opens offline and one Markdown file, written from artifacts and metrics."""
