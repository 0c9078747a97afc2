"""Turns runs into jobs: plans them, submits or runs them, and decides what comes next, under the lock of their grid."""
