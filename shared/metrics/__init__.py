"""Every metric: what the store counts, what a worker measures, what the web processes measure."""
