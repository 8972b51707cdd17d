"""One check for each behavior that the test AWS adds to moto."""
