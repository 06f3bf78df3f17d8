"""The one door to PostgreSQL: connections, migrations, the embedded cluster. Holds no statement of another room."""
