"""One small module a chip: each owns the registers, or the plant, behind the same interface."""
