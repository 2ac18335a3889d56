"""What was measured, and the programs that measured it: ``python -m benchmarks`` lists them."""
