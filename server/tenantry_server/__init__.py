"""The server."""

import os

# Our log is JSON. gRPC's C core would write among it in its own form, for every handshake that a stranger lets fail, unless it
# finds this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
