"""Executors that do what engines are known to do, and programs that tests kill."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Twice(Executor):
    """Runs each task twice at the same time, and answers with what ends last."""

    def __init__(self, inner: Executor) -> None:
        self._inner, self.threads = inner, ThreadPoolExecutor(8)

    def submit(self, task: Callable[..., Any], /, *given: Any, **_: Any) -> Future[Any]:
        return self.threads.submit(self._both, task, *given)

    def _both(self, task: Callable[..., Any], *given: Any) -> Any:
        tries = [self._inner.submit(task, *given) for _ in range(2)]
        return [each.result() for each in tries][-1]


class Instead(Executor):
    """Calls `act` with the number of a part and the task in place of the task."""

    def __init__(self, act: Callable[[int, Callable[[], Any]], Any]) -> None:
        self._act, self.submitted = act, list[int]()

    def submit(self, task: Callable[..., Any], /, *given: Any, **_: Any) -> Future[Any]:
        future, part = Future[Any](), given[0].part
        self.submitted.append(part)
        try:
            future.set_result(self._act(part, lambda: task(*given)))
        except Exception as error:
            future.set_exception(error)
        return future


SERVE = """
import pickle, sys
from pathlib import Path
while True:
    task, given = pickle.load(sys.stdin.buffer)
    try:
        answer = task(*given), None
    except Exception as error:
        answer = None, error
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


class Machines(Executor):
    """Processes that share nothing but the file system, each with a folder of its own."""

    def __init__(self, folders: list[Path], prefix: list[str]) -> None:
        self.processes = [
            subprocess.Popen(  # noqa: S603  # our own command
                [*prefix, sys.executable, "-c", SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "HOME": str(folder)},
            )
            for folder in folders
        ]
        self._free = [*self.processes]
        self.threads = ThreadPoolExecutor(len(folders))
        self.parts = {each.pid: list[int]() for each in self.processes}

    def submit(self, task: Callable[..., Any], /, *given: Any, **_: Any) -> Future[Any]:
        return self.threads.submit(self._ask, task, *given)

    def _ask(self, task: Callable[..., Any], *given: Any) -> Any:
        process = self._free.pop()
        assert process.stdin
        assert process.stdout
        try:
            pickle.dump((task, given), process.stdin)
            process.stdin.flush()
            answer, error = pickle.load(process.stdout)  # noqa: S301  # of our own process
        finally:
            self._free.append(process)
        self.parts[process.pid].append(given[0].part)
        if error:
            raise error
        return answer

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
