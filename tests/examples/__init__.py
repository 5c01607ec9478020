"""Tests that run the examples, each as a program of its own."""
