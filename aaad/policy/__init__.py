"""Values and pure decisions. Knows no RADIUS, no SQL and no clock."""
