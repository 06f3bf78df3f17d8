"""The ERP's data: validation and reading."""
