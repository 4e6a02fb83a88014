"""What other teams read through Feast: its layout in Redis, and a repository for `feast apply`."""
