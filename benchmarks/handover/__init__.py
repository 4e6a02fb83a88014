"""What a rebalance costs: the longest delay while workers join, leave and die under load."""
