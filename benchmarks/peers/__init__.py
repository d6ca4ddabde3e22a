"""Measures the peers, each in a process of its own, and saves one run of all of them."""
