"""The agenda: what comes due by the clock or by what is owed, planned, held by its brake, and done once."""
