"""The shop's pipeline, before somebody mended its record."""

from dataclasses import replace

from examples.shop.pipeline import PIPELINE as MENDED
from examples.shop.pipeline import ShopEvent

POISON = "poison"


class BuggyEvent(ShopEvent):
    """Does not know every item."""

    def __post_init__(self) -> None:
        """Look the item up."""
        if self.item_id == POISON:
            raise KeyError(self.item_id)


PIPELINE = replace(MENDED, event=BuggyEvent)
