"""Whether the working tree made a store slower than another commit did: see `__main__.py`.

options.py    the command line
trees.py      the two versions, side by side in directories
profile.py    which benchmarks are measured, and where their stores are
process.py    a fresh process of one version; turns.py is its other end, inside pytest
judge.py      screen all benchmarks, measure the suspects again
decide.py     the statistics
report.py     what is printed; saved.py, what is kept
evaluate.py   how often the gate is right, by running it many times
"""
