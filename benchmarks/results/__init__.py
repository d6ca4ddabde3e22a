"""Results of runs: recording, saving and reading them, and their tables."""
