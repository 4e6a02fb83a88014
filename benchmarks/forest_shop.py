"""The shop with a forest among its challengers: dear to teach, to write and to swap in."""

import dataclasses

from examples.shop.pipeline import PIPELINE as SHOP

FOREST = "binary_forest_v1"
PIPELINE = dataclasses.replace(SHOP, challengers=(*SHOP.challengers, FOREST))
