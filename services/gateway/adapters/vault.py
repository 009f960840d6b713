"""Secrets that we must be able to read again, encrypted (Fernet) with a key that lies in a file, not in the database."""

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from roomviz.errors import FailedPrecondition


class Vault:
    """The file has one key in each line: the first encrypts, each decrypts, so that keys can be changed.

    Made by `python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`.
    """

    def __init__(self, key_file: Path | None):
        self._keys = MultiFernet([Fernet(k) for k in key_file.read_text().split()]) if key_file else None

    def require(self) -> None:
        """Raises FailedPrecondition (WEBHOOKS_NOT_CONFIGURED) where there is no key."""
        if self._keys is None:
            raise FailedPrecondition(
                "WEBHOOKS_NOT_CONFIGURED", "this installation sends no webhooks: set ROOMVIZ_WEBHOOK_KEY_FILE"
            )

    def encrypt(self, secret: str) -> bytes:
        self.require()
        assert self._keys is not None
        return self._keys.encrypt(secret.encode())

    def decrypt(self, kept: bytes) -> str:
        """Raises FailedPrecondition (SECRET_UNREADABLE) where none of the keys wrote it."""
        self.require()
        assert self._keys is not None
        try:
            return self._keys.decrypt(kept).decode()
        except InvalidToken as error:
            raise FailedPrecondition("SECRET_UNREADABLE", "the key that encrypted this secret is missing") from error
