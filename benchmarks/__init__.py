"""Speed, memory and likeness, measured by hand or in CI; never asserted inside a test."""
