"""Answers the requests of many callers as batches, with a queue that is bounded.

A batch is what waits when the network is free: requests whose arrays differ in their number of rows alone, up to a
power of two of rows, so that memory is laid out for few sizes. The first waits for others only while there are some on
their way, and no longer than a deadline.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gossamer.errors import GossamerError
from gossamer.runtime import Network
from gossamer.serve.limits import Limits

_AT_ONCE = 1e-3  # seconds that a batch may keep the event loop
Arrays = list[np.ndarray[Any, Any]]


class OverloadError(GossamerError):
    """The queue is full.

    Attributes:
        retry_s: When there may be room again, in seconds.
    """

    def __init__(self, retry_s: float) -> None:
        super().__init__("too many requests are waiting; try again later")
        self.retry_s = retry_s


@dataclass(eq=False)
class _Request:
    arrays: Arrays
    rows: int
    kind: tuple[Any, ...]  # what may be answered together
    answer: asyncio.Future[Arrays]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Answers requests as batches; `run` has to go on beside the callers, in the same event loop.

    Attributes:
        waiting: How many requests wait.
    """

    def __init__(self, network: Network, limits: Limits, batch_of: Callable[[int], None] = lambda rows: None) -> None:
        self.network, self.limits = network, limits
        self._together = network.independent
        self._queue: deque[_Request] = deque()
        self._coming = 0
        self._changed = asyncio.Event()
        self._batch_of = batch_of
        self._seconds = 0.0  # of a batch, smoothed
        self._row_seconds = 0.0  # of a row of it, smoothed

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue for a request whose body is being read.

        Raises:
            OverloadError: There is none.
        """
        if len(self._queue) + self._coming >= self.limits.queue:
            batches = math.ceil(self.limits.queue / self.limits.batch) if self._together else self.limits.queue
            raise OverloadError(batches * self._seconds)
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._changed.set()

    def ask(self, arrays: Arrays) -> asyncio.Future[Arrays]:
        """Returns the outputs for arrays that fit the network's inputs, once they are there."""
        rows = arrays[0].shape[0] if self._together else 1
        kind = tuple(array.shape[1:] for array in arrays)
        request = _Request(arrays, rows, kind, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self._changed.set()
        return request.answer

    async def run(self) -> None:
        """Answers what waits, until it is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="engine") as engine:
            while True:
                await self._first()
                batch = self._take()
                if not batch:
                    continue
                rows, given = sum(request.rows for request in batch), [request.arrays for request in batch]
                self._batch_of(rows)
                start = time.perf_counter()
                if 0.0 < rows * self._row_seconds < _AT_ONCE:  # changing threads would take longer
                    answers = self._answers(given)
                    await asyncio.sleep(0)
                else:
                    answers = await loop.run_in_executor(engine, self._answers, given)
                spent = time.perf_counter() - start
                self._seconds += 0.1 * (spent - self._seconds)
                self._row_seconds += (0.1 if self._row_seconds else 1.0) * (spent / max(rows, 1) - self._row_seconds)
                for request, answer in zip(batch, answers, strict=True):
                    if request.answer.done():  # its caller has gone
                        continue
                    if isinstance(answer, Exception):
                        request.answer.set_exception(answer)
                    else:
                        request.answer.set_result(answer)

    async def _first(self) -> None:
        """Waits until a batch should begin."""
        while not self._queue:
            self._changed.clear()
            await self._changed.wait()
        end = self._queue[0].since + self.limits.wait_ms / 1000
        while self._together and self._coming and sum(request.rows for request in self._queue) < self.limits.batch:
            left = end - time.perf_counter()
            if left <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Request]:
        """Takes from the queue what is answered next: the first request and those that go with it."""
        while self._queue and self._queue[0].answer.done():
            self._queue.popleft()
        if not self._queue:
            return []
        kind = self._queue[0].kind
        fitting = [request for request in self._queue if request.kind == kind and not request.answer.done()]
        taken = 1
        if self._together:
            total = sum(request.rows for request in fitting)
            most = 1 << (max(min(total, self.limits.batch), 1).bit_length() - 1)
            rows = fitting[0].rows
            while taken < len(fitting) and rows + fitting[taken].rows <= most:
                rows += fitting[taken].rows
                taken += 1
        chosen = fitting[:taken]
        for request in chosen:
            self._queue.remove(request)
        return chosen

    def _answers(self, batch: Sequence[Arrays]) -> list[Arrays | Exception]:
        """Returns the outputs of each request; what one does wrong does not reach the others."""
        try:
            if len(batch) == 1:
                return [self._call(batch[0])]
            joined = self._call([np.concatenate(parts) for parts in zip(*batch, strict=True)])
        except Exception as error:
            return [error] if len(batch) == 1 else [self._answers([one])[0] for one in batch]
        ends = np.cumsum([arrays[0].shape[0] for arrays in batch])[:-1]
        return [list(parts) for parts in zip(*(np.split(output, ends) for output in joined), strict=True)]

    def _call(self, arrays: Arrays) -> Arrays:
        found = self.network(*arrays)
        return list(found) if isinstance(found, tuple) else [found]
