"""Features of entities beside users: kept by `aggregate` or `predict`, known to every `predict`."""
