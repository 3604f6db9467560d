"""HTML files about runs: a report of run folders, and the page that a sweep ends in."""
