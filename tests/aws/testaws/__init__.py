"""An AWS account for tests: moto, plus what it lacks to behave as AWS does."""
