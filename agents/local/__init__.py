"""Everything on one machine: processes, ports, keys, and `thalweg up`."""
