"""Whether the working tree made a store slower than another commit did: see `__main__.py`.

options.py    the command line
run.py        one run: the two versions, the measurements, the verdict
trees.py      the two versions, side by side in directories
profile.py    which benchmarks are measured, and where their stores are
pairs.py      pairs of processes, one of each version, that measure in turns
process.py    one of them; turns.py is its other end, inside pytest, channel.py what is between them
inject.py     a slow-down on purpose, for one side
judge.py      screen all benchmarks, measure the suspects again
decide.py     the statistics
verdict.py    what is printed; saved.py, what is kept
evaluate.py   how often the gate is right, by running it many times; evaluation.jsonl has its runs,
              mutants/ real slow-downs
errors.py     what makes a run invalid
"""
