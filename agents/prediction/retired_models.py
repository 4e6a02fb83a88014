"""Models that serve no more, given up piece by piece: it takes a forest long to go."""

import weakref
from collections.abc import Callable
from typing import Final

from online_models.estimator import Estimator

AT_ONCE: Final = 4
"""Pieces to give up before others may go first: of a forest, half a millisecond."""


class RetiredModels:
    """Holds the pieces of what was replaced until nobody uses it.

    Whoever lets go of a model last gives all of it back to the memory before anything else can be
    done, be that a batch that began before the swap. So its pieces are held here: what such a batch
    gives up is the frame that they are put into.

    Parameters
    ----------
    pause
        Called now and then: lets others have the interpreter.

    Examples
    --------
    >>> from online_models import catalogue, pickling
    >>> pieces = []
    >>> tree = catalogue.make("binary_hoeffding_tree_v1")
    >>> (model,) = pickling.loads(pickling.dumps((tree,)), pieces=pieces)
    >>> retired = RetiredModels(pause=lambda: None)
    >>> retired.add(model, pieces)
    >>> retired.give_up(), len(retired)  # it is still in use
    (None, 1)
    >>> del model
    >>> retired.give_up(), len(retired)
    (None, 0)
    """

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._waiting: list[tuple[weakref.ref[Estimator], list[object]]] = []

    def __len__(self) -> int:
        """Tell how many wait."""
        return len(self._waiting)

    def add(self, model: Estimator, pieces: list[object]) -> None:
        """Take over the pieces in which a model was read that was replaced."""
        inside = [each for each in pieces[:-1] if each is not model]  # the last one holds it, too
        self._waiting.append((weakref.ref(model), inside))
        pieces.clear()

    def give_up(self) -> None:
        """Give up what nobody uses any more."""
        used = []
        for model, pieces in self._waiting:
            if model() is not None:
                used.append((model, pieces))
                continue
            while pieces:
                del pieces[-AT_ONCE:]
                self._pause()
        self._waiting = used
