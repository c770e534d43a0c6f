"""An exported model onto a hub of models, where the user names one: the only thing here that asks a network."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import InputError, RunError


def push(folder: Path, name: str, *, public: bool = False) -> str:
    """Upload a folder as the model repository `name`, a new one private unless said otherwise; returns its address.

    Token and endpoint are the hub library's own: HF_TOKEN or `hf auth login`, HF_ENDPOINT. InputError: a name that is
    none, a repository that everybody can read where nobody asked for that. RunError: the hub refuses or is not reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

    api = HfApi(library_name="trueline")
    try:
        repo = api.create_repo(name, private=not public, exist_ok=True)
        if not public and not api.repo_info(repo.repo_id).private:
            raise InputError(f"--push {name}: everybody can read that repository; say --public, or name another")
        api.upload_folder(repo_id=repo.repo_id, folder_path=folder, commit_message="Exported by Trueline")
    except InputError:
        raise
    except (HFValidationError, LocalTokenNotFoundError) as error:
        raise InputError(f"--push {name}: {_line(error)}") from error
    except Exception as error:  # the library's own, and those of whichever library carries its requests
        raise RunError(f"--push {name}: {_line(error)}; {folder} is written, push it again") from error
    return str(repo)


def _line(error: Exception) -> str:
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split()).rstrip(".")
