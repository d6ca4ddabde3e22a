"""How an image becomes the bytes of a cell: one module per payload."""
