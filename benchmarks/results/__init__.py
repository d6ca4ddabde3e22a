"""What a run records, where runs are saved, and the tables of them."""
