"""What a run of the benchmarks is made of: its options, its stores, how each figure is measured."""
