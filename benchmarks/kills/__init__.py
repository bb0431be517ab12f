"""Processes that are killed while they change a device's state."""
