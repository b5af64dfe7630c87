"""What the viewer and the metrics share: an address, a guard before it, and a server on a thread of its own."""
