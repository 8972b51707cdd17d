"""An AWS account for tests: moto, plus the behavior of AWS that moto lacks."""
