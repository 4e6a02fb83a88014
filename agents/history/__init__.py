"""A recorded history: published at a rate, audited, summed up."""
