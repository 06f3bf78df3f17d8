"""The one door to PostgreSQL: connections, named statements, migrations, the embedded cluster."""
