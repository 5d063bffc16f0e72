"""Waiting for processes in tests."""
