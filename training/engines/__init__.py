"""Where the rounds of a stage are executed."""
