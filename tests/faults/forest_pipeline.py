"""The shop with a forest among its challengers: dear to teach, and to write."""

import dataclasses

from examples.shop.pipeline import PIPELINE as SHOP

PIPELINE = dataclasses.replace(SHOP, challengers=(*SHOP.challengers, "binary_forest_v1"))
