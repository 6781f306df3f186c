"""What the tests share: fakes, clocks, loops and small servers."""
