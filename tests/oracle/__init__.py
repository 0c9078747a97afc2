"""A second opinion on every figure of the report: another implementation, and random studies to compare both on."""
