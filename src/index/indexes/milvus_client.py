"""The connection to Milvus, and its errors in one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.index.indexes.optional import optional_package

_SECONDS_TO_CONNECT = 10
_LETTERS = 300
_NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1}  # milvus-lite hangs up on a client that pings it during long work


def is_local(uri: str) -> bool:
    """Whether an address is a file of milvus-lite."""
    return "://" not in uri


def connected(uri: str, token_variable: str) -> Any:
    """A client of Milvus.

    Args:
        uri: of a server, or a file that ends in .db, which milvus-lite makes.
        token_variable: environment variable that holds `user:password` or a key, where the server wants one.

    Raises:
        ConfigError: no server there, or a file that another process has open.
        IncompatibleParts: a package that is not installed.
    """
    pymilvus = optional_package("pymilvus", "milvus")
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # its errors come with tracebacks, and are raised as well
    if not is_local(uri):
        with one_line(f"no Milvus answers at {uri}; start it, or name another by index.uri="):
            token = os.environ.get(token_variable, "")
            return pymilvus.MilvusClient(uri=uri, token=token, timeout=_SECONDS_TO_CONNECT)
    if not uri.endswith(".db"):
        raise ConfigError(f"index milvus: uri is {uri}, expected http://HOST:PORT, or a file that ends in .db")
    optional_package("milvus_lite", "milvus")
    logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
    Path(uri).parent.mkdir(parents=True, exist_ok=True)
    with one_line(f"{uri} cannot be opened; milvus-lite serves one process at a time, so wait for it, or use a server"):
        return pymilvus.MilvusClient(uri=uri, grpc_options=_NO_PINGS)


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Errors of Milvus in the block become one line that begins with `what`.

    Raises:
        ConfigError: for an error of Milvus.
    """
    milvus_error = optional_package("pymilvus.exceptions", "milvus").MilvusException
    rpc_error = optional_package("grpc", "milvus").RpcError
    try:
        yield
    except (milvus_error, rpc_error) as error:
        said = " ".join(str(getattr(error, "message", None) or error).split())[:_LETTERS]
        raise ConfigError(f"index milvus: {what} (Milvus says: {said})") from None
