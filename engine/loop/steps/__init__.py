"""One step, one module: what it reads, does, writes. Their order stands in `progtrain.engine.loop.sequence.STEPS`."""
