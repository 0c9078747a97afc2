"""Results of shared work come in its order, and the work is not taken far ahead of them."""

from collections.abc import Iterator
from concurrent.futures import Future

from sentiment.processes import in_order


def test_results_come_in_order_and_the_work_is_not_taken_far_ahead() -> None:
    taken = 0
    open_futures: list[Future[int]] = []

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(1, 11):
            taken = item
            yield item

    def submit(item: int) -> "Future[int]":
        open_futures.append(Future())
        if item % 3 == 0 or item == 10:  # the one that was begun last ends first
            while open_futures:
                open_futures.pop().set_result(-item)
        return open_futures[-1] if open_futures else _done(-item)

    done = []
    for item, result in in_order(items(), submit, 3):
        done.append((item, result))
        assert taken <= len(done) + 2
    assert done == [(1, -3), (2, -3), (3, -3), (4, -6), (5, -6), (6, -6), (7, -9), (8, -9), (9, -9), (10, -10)]


def _done(value: int) -> "Future[int]":
    future: Future[int] = Future()
    future.set_result(value)
    return future
