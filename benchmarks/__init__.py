"""Measurements that compare two things in one run. None of them is a test."""
