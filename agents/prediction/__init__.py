"""What predict does: one partition, its outputs, and the models that serve."""
