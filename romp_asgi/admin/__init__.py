"""What administrators ask of a running server, and what is counted for them."""

from romp_asgi.admin.commands import Administration
from romp_asgi.admin.statistics import Statistics

__all__ = ["Administration", "Statistics"]
