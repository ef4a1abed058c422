"""The store: one DuckDB file that is complete by itself, filled from journals and read through named queries."""

import lossbench.store.queries as queries
from lossbench.store.missing import nothing
from lossbench.store.selection import Selection
from lossbench.store.store import Rows, Store, try_ingest

__all__ = ["Rows", "Selection", "Store", "nothing", "queries", "try_ingest"]
