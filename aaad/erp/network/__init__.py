"""Concentrators, their secrets, and who administers routers, as operators write them: fields, rules, statements."""
