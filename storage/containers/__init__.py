"""How cells lie on disk: one module per container."""
