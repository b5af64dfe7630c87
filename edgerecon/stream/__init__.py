"""Source → engine → sinks under a deadline: the real-time loop, its deadlines and its counters."""
