"""How cells lie on disk: one module for each way."""
