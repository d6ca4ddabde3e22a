"""How often the suite's answers replicate: many runs of one commit, and counts of what they say."""
