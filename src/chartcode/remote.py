"""Whether the private DVC remote can be used from here, in one line, before DVC finds out the long way.

DVC needs more than a minute to say that nothing answers, and `dvc pull --allow-missing` takes a container that does
not exist for an empty one and ends with "Everything is up to date". So `make pull` and `make push` ask here first: one
listing, and for a push one write that is bound to fail its own precondition, so that nothing is ever written. The login
is the one DVC takes, through DVC's own configuration. No message holds a key, a SAS or a connection string.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from chartcode.doctor import CONNECTION, Finding

SECONDS = 20.0  # for one remote, login included: `az` alone may take five
CONNECT_SECONDS = 5
IDENTITY = "az login or managed identity"
# DVC's own order: the first of these that is set is the login.
LOGINS = {
    "connection_string": "connection string",
    "client_secret": "service principal",
    "account_key": "account key",
    "sas_token": "SAS",
    "credential": IDENTITY,
}
READER, CONTRIBUTOR = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def examine(
    root: Path,
    source: str,
    write: bool = False,
    seconds: float = SECONDS,
) -> Finding:
    """Whether the artifacts of `source` may be read from the remote of that name; with `write`, also written.

    A remote that is not on Azure is not contacted.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            if source not in repo.config["remote"]:
                return Finding("missing", "remote", f".dvc/config: no remote {source}")
            return _examine(repo, source, write, seconds)
    except DvcException as error:
        return Finding("missing", "remote", f"{root / '.dvc/config'}: not readable by DVC ({type(error).__name__})")


def _examine(repo: Any, name: str, write: bool, seconds: float) -> Finding:
    url = str(repo.config["remote"][name].get("url", "no url"))
    if not url.startswith("azure://"):
        return Finding("ok", "remote", f"{name}: not on Azure, not contacted")
    container, _, prefix = url.removeprefix("azure://").partition("/")
    place, login = f"{name}: {url}", "no login"
    try:
        filesystem = repo.cloud.get_remote(name=name).fs
        login = next((text for key, text in LOGINS.items() if filesystem.fs_args.get(key)), login)
        if CONNECTION in os.environ and filesystem.fs_args.get("connection_string") == os.environ[CONNECTION]:
            login = CONNECTION
        service = filesystem.fs.service_client
        place = f"{place} at {service.primary_hostname}"  # the host alone: the client's URL may hold a SAS
        probe = asyncio.wait_for(_probe(service.get_container_client(container), prefix, write), seconds)
        may_write = asyncio.run_coroutine_threadsafe(probe, filesystem.fs.loop).result()
    except Exception as error:  # noqa: BLE001  every way to fail is a finding
        return Finding("missing", "remote", f"{place} by {login}: {_explained(error, container, login)}")
    text = f"{place} by {login}: may read{' and write' if may_write else ''}"
    if write and not may_write:
        remedy = f"but not write; to push, ask the owner of the account for the role {CONTRIBUTOR}"
        return Finding("missing", "remote", f"{text} {remedy}")
    return Finding("ok", "remote", text)


async def _probe(container: Any, prefix: str, write: bool) -> bool:
    """List one blob; then, if asked, whether a write is let through to its precondition. Raises what the SDK raises."""
    from azure.core import MatchConditions
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceModifiedError

    at_once = {"retry_total": 0, "connection_timeout": CONNECT_SECONDS}
    async with container:
        listed = container.list_blobs(name_starts_with=prefix, results_per_page=1, **at_once)
        async for _ in listed:
            break
        if not write:
            return False
        blob = container.get_blob_client("/".join(filter(None, (prefix, "write-check"))))
        never = {"etag": '"0x0"', "match_condition": MatchConditions.IfNotModified}  # no blob has this tag
        try:
            await blob.upload_blob(b"", overwrite=True, **never, **at_once)
        except ResourceModifiedError:
            return True
        except ClientAuthenticationError:
            return False
        except HttpResponseError as error:
            if error.status_code in (401, 403):
                return False
            raise
        return True


def _explained(error: BaseException, container: str, login: str) -> str:
    """What is wrong and what to do; of the SDK's message only the service's own code is kept."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    again = f"renew the {login} (in .dvc/config.local or the environment), or remove it and az login"
    if login == CONNECTION:
        again = f"unset {CONNECTION}, or set it anew"
    elif login == IDENTITY:
        again = "az login"
    status = getattr(error, "status_code", None)
    said = getattr(error, "error_code", None) or status or type(error).__name__
    code = str(getattr(said, "value", said))
    if isinstance(error, (TimeoutError, ServiceRequestError, ServiceResponseError, OSError)):
        return "not reachable; offline, a proxy or firewall between, or another account is meant"
    if code == "ContainerNotFound":
        return f"container {container} does not exist; the owner of the account creates it (docs/share.md)"
    if code == "AuthorizationPermissionMismatch":
        return f"logged in, but may not read; ask the owner of the account for the role {READER}"
    if code == "KeyBasedAuthenticationNotPermitted":
        return f"the account takes no keys; unset {CONNECTION} and account_key, then az login"
    if code == "AuthorizationFailure":
        return f"login refused ({code}); {again}, or the account does not admit this network"
    if status in (401, 403):
        return f"login refused ({code}); {again}"
    if isinstance(error, HttpResponseError) and not isinstance(error, ClientAuthenticationError):
        return f"the service answered {code}; try again later"
    return f"no usable login ({type(error).__name__}); {again}"
