"""Tests of `storage/images`."""
