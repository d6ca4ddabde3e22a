"""Whether the working tree made a store slower than another commit did: see `__main__.py`.

options.py    the command line
run.py        one run: the two versions, the measurements, the verdict
trees.py      the two versions, side by side in directories
profile.py    the benchmarks that are measured, and the place of their stores
pairs.py      pairs of processes, one of each version, that measure in turns
process.py    one of these processes; turns.py is its end inside pytest, channel.py connects the two
inject.py     a deliberate slow-down of one side
judge.py      screening all benchmarks, measuring the suspects again
decide.py     the statistics
verdict.py    the output; saved.py, the files
evaluate.py   how often the gate is right, by running it many times; evaluation.jsonl has its runs,
              mutants/ real slow-downs
errors.py     the error of an invalid run
"""
