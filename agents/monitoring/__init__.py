"""What the whole system sees of its scores and features, and whether it moved."""
