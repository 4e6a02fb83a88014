"""The log of who serves: written by commands and by `learn`, followed by every worker."""
