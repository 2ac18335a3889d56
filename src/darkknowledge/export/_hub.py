"""An exported folder on the Hugging Face Hub, only ever when somebody asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from darkknowledge.errors import ResourceError, UsageError
from darkknowledge.export._libraries import hub


def require_hub() -> None:
    """Look before the work begins whether a push could succeed at all; nothing is sent.

    Raises:
        ResourceError: huggingface_hub is not installed.
        UsageError: there is no token.
    """
    if hub().get_token() is None:
        raise UsageError(
            "there is no token of the Hugging Face Hub here", where="push_to", fix="hf auth login, or set HF_TOKEN; without push_to nothing is sent"
        )


def push(folder: Path, repository: str, *, api: Any = None) -> str:
    """Upload every file of ``folder`` to ``repository`` (``user/name``), which is made, private, if it is not there; its address.

    ``api`` stands for ``huggingface_hub.HfApi()``.

    Raises:
        ResourceError: huggingface_hub is not installed, or the Hub cannot be reached or refuses.
    """
    api = hub().HfApi() if api is None else api
    try:
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="A network exported by darkknowledge")
    except Exception as error:  # its errors, those of its client, and those of the network
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        fix = f"check the network and the token's rights; the export is whole: hf upload {repository} {folder}"
        raise ResourceError(f"the Hugging Face Hub did not take the network: {reason}", where=repository, fix=fix) from error
    return str(address)
