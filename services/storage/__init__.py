"""The Postgres edge: tables, sessions, and one repository per aggregate. Only here is SQL written."""
