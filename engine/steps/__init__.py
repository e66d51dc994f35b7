"""One step, one module: what it reads, does, writes. Their order stands in `engine.loop.STEPS`."""
