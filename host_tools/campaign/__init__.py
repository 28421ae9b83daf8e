"""The fault campaign: every fault of the table injected at several operating points, claimed against measured."""
