"""Writes carried out on a thread of their own, in their order, while a network learns.

One of MLflow's writes takes as long as a short epoch. Whoever needs to know that everything is
written waits with `Courier.settle`, and is told there, or at the next `Courier.send`, what went
wrong; what stood behind it in the queue is dropped, so that nothing is written out of order. Not
here: what a write is (`fourier.tracking.writes`), and what becomes of it while the store is away
(`fourier.tracking.outbox`).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Courier:
    """The writes of one process that nobody waits for; used by one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writes to MLflow")  # begun by the first write
        self._sent: list[Future[None]] = []
        self._held: list[Callable[[], None]] = []
        self._failed = False

    @property
    def busy(self) -> bool:
        """Whether something is not written yet."""
        return any(not each.done() for each in self._sent)

    def send(self, write: Callable[[], None]) -> None:
        """Write as soon as all that was sent before is written.

        Args:
            write: carries it out.

        Raises:
            FourierError: as an earlier write raised; this one is not sent.
        """
        if self._failed:
            self.settle()
        self._sent = [each for each in self._sent if not each.done() or each.exception()]
        self._begin([*self._held, write])

    def hold(self, write: Callable[[], None]) -> None:
        """Write before what is sent next, or when somebody waits.

        Two threads that both run Python take more time than one after the other; so what has time
        is left until the next network learns.
        """
        self._held.append(write)

    def settle(self) -> None:
        """Wait until everything is written.

        Raises:
            FourierError: as a write raised; those behind it are dropped.
        """
        self._begin(self._held)
        wait(self._sent)
        sent, self._sent, self._failed = self._sent, [], False
        for each in sent:
            each.result()

    def _begin(self, writes: list[Callable[[], None]]) -> None:
        self._sent += [self._thread.submit(self._carry_out, write) for write in writes]
        self._held = []

    def _carry_out(self, write: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            write()
        except BaseException:
            self._failed = True
            raise
