"""Databases on any PostgreSQL server: made, cloned from a template, dropped."""

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url


def connection_string(url: str) -> str:
    """A SQLAlchemy URL as libpq understands it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def url_of(server_url: str, name: str) -> str:
    """The same server, another database."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def create_database(server_url: str, name: str, template: str | None = None) -> str:
    """Create a database, empty or a copy of ``template`` (some 30 ms), and return its URL."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(template or "template0")
    )
    _execute(server_url, statement)
    return url_of(server_url, name)


def drop_database(server_url: str, name: str) -> None:
    """Drop a database, closing whatever connections are left; nothing happens when it does not exist."""
    _execute(server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def close_to_connections(server_url: str, name: str) -> None:
    """Make a database one that can only be cloned: nobody may connect, since cloning needs it unused."""
    _execute(server_url, sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    _execute(
        server_url,
        sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
            sql.Literal(name)
        ),
    )


def _execute(server_url: str, statement: sql.Composed) -> None:
    with psycopg.connect(connection_string(server_url), autocommit=True) as connection:
        connection.execute(statement)
