"""Takes in a network that somebody else made: what it wants is found by trial, wrapped around it, and proven."""
