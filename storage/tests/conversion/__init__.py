"""The tests of `storage.conversion`."""
