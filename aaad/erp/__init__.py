"""The ERP's data for operators' commands: fields, rules, permissions, statements. Decides nothing about access."""
