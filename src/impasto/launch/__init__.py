"""From a command line to a running command: words, one composition, the job, its errors as sentences."""
