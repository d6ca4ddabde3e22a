"""The parts of a benchmark run: its options, its stores, the measuring of each figure."""
