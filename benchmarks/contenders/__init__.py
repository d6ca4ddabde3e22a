"""What is compared: the stores, the floor under them, and the ways of the tutorial."""
