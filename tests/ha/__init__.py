"""What takes too long for every run of the tests: `make test-ha` runs it and writes `report.md`."""
