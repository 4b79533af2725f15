"""A Ray cluster of two nodes on this machine, each with an address of its own: python -m tests.jobs.ray_nodes FOLDER.

Prints its address, kills the second node at the first line of standard input, and ends with it.
"""

import os
import sys
from pathlib import Path

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_TMPDIR=sys.argv[1])  # read at the import

from ray.cluster_utils import Cluster

_SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def main() -> None:
    head = {**_SMALL, "node_ip_address": "127.0.0.2", "include_dashboard": False}
    Path(sys.argv[1], "ray").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(**_SMALL, node_ip_address="127.0.0.3")
        print(cluster.gcs_address, flush=True)  # noqa: T201
        if sys.stdin.readline():
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)  # noqa: T201
            sys.stdin.readline()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
