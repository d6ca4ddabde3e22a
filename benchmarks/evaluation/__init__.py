"""How often the suite's answers replicate: whole runs, repeated, and what they say counted."""
