"""What operators are handed, and how a checkout is set up."""
