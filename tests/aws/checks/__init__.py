"""One check for each behaviour the test AWS adds to moto."""
