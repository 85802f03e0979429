"""What a run found, for people: report.html, and tables on a terminal."""
