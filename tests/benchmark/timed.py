"""A release that tells times."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def timed_release(tmp_path, make_world, write_release, users=300):
    """A toy release whose interactions are an hour apart, in random order over all users."""
    folder = write_release(tmp_path / "Timed", make_world(users=users))
    path = folder / "data" / "interactions.parquet"
    table = pq.read_table(path)
    user = table["user_id"].to_numpy()
    times = np.sort(np.random.default_rng(0).integers(0, 1_000, len(user)) * 3_600_000)
    times = np.random.default_rng(1).permutation(times)
    times = times[np.lexsort((times, user))]  # a user's rows are in order, and so are their times
    pq.write_table(table.append_column("timestamp_ms", pa.array(times, pa.int64())), path)
    return folder
