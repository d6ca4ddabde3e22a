"""Tests of the stores: the contract over the registry, properties, raw formats and damage."""
