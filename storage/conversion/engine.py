"""Where tasks run: in this process, or in those of an executor."""

from collections.abc import Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from queue import SimpleQueue

from .._errors import ExecutorError, StorageError
from ..payloads.base import cores
from .task import Order, Tick, convert_part
from .work import Receipt

WINDOW = 256
"""Tasks that are submitted at a time: enough for as many workers, and a million take no memory."""


def here(orders: Iterable[Order], tick: Tick) -> Generator[Receipt, None, None]:
    """Run tasks one after the other, which decode in a thread per core."""
    threads = cores()
    for order in orders:
        yield convert_part(order._replace(threads=threads), tick)


def there(executor: Executor, orders: Iterable[Order]) -> Generator[Receipt, None, None]:
    """Yield receipts as tasks end.

    Raises the `StorageError` of a task, and `ExecutorError` if the executor gives up on one.
    """
    left, pending = iter(orders), dict[Future[Receipt], int]()
    ended = SimpleQueue[Future[Receipt]]()
    try:
        while True:
            for order in islice(left, WINDOW - len(pending)):
                future = _submitted(executor, order)
                pending[future] = order.part
                # Unlike `wait`, this also tells of one that an executor cancels as it is shut down.
                future.add_done_callback(ended.put)
            if not pending:
                return
            future = ended.get()
            yield _receipt(future, pending.pop(future))
    finally:
        for future in pending:
            future.cancel()


def _submitted(executor: Executor, order: Order) -> Future[Receipt]:
    try:
        return executor.submit(convert_part, order)
    except Exception as error:
        raise _given_up(order.part, error) from error


def _receipt(future: Future[Receipt], part: int) -> Receipt:
    try:
        receipt = future.result()
    except StorageError:
        raise
    except Exception as error:
        raise _given_up(part, error) from error
    if not isinstance(receipt, Receipt) or receipt.part != part:
        raise _given_up(part, TypeError(f"it returned {receipt!r:.100}"))
    return receipt


def _given_up(part: int, error: Exception) -> ExecutorError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    text = "convert again in the same way, with a new executor if this one is broken"
    return ExecutorError(f"the executor gave up on part {part} ({reason}); {text}")
