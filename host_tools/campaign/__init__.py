"""The fault campaign: each fault injected at several operating points, claimed against measured."""
