"""What runs on a Ray cluster: the jobs of a study, and one training over several workers. The only importer of Ray."""

import os

# Ray reads these when it is imported: no report home, and nobody without the cluster's token unless that is said.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "token")
