"""Accounts: made by invitation, with a role; shut without losing a label."""

from __future__ import annotations

import hashlib
import secrets as random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from trueline.errors import InputError
from trueline.feedback import account_tables as a
from trueline.feedback import tables as t
from trueline.feedback.accounts import passwords
from trueline.feedback.accounts.log import write
from trueline.feedback.engine import insert_missing
from trueline.feedback.store import FeedbackStore

Role = Literal["admin", "reviewer", "annotator", "viewer"]
ROLES: tuple[Role, ...] = ("viewer", "annotator", "reviewer", "admin")  # each may do what those before it may
Kind = Literal["session", "token", "invitation", "login"]
DAY = 86_400.0
LIFETIME: dict[Kind, float] = {"session": 30 * DAY, "token": 365 * DAY, "invitation": 7 * DAY, "login": DAY}
LONGEST_NAME = 100


@dataclass(frozen=True)
class Account:
    name: str
    role: Role
    active: bool = True

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Accounts:
    """clock: seconds since 1970. Secrets are given out once and kept as sha256: they are random, not guessable."""

    store: FeedbackStore
    clock: Callable[[], float] = time.time

    def all(self) -> list[Account]:
        with self.store.reading() as c:
            return [_account(r) for r in c.execute(sa.select(a.accounts).order_by(a.accounts.c.name))]

    def ensure(self, name: str, role: Role) -> Account:
        """The account of that name, made where there is none: for whoever starts the server on their own machine."""
        with self.store.transaction() as c:
            self._add(c, name, role, None)
            return _account(c.execute(sa.select(a.accounts).where(a.accounts.c.name == name)).one())

    def invite(self, role: Role, by: str) -> str:
        """An invitation for one person; its secret goes into the link."""
        with self.store.transaction() as c:
            write(c, self.clock(), by, "invite", role)
            return self._issue(c, "invitation", None, f"invited by {by}", role)

    def accept(self, invitation: str, name: str, password: str) -> Account:
        """Make the account of an invitation. InputError: used, expired, a name that is taken, a weak password."""
        name = " ".join(name.split())
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise InputError(f"name: must have 1 to {LONGEST_NAME} visible characters")
        if len(password) < passwords.SHORTEST:
            raise InputError(f"password: must have at least {passwords.SHORTEST} characters")
        stored, now = passwords.hashed(password), self.clock()
        with self.store.transaction() as c:
            row = self._use(c, "invitation", invitation)
            if row is None:
                raise InputError("this invitation was used or has expired; ask for a new one")
            taken = c.execute(sa.select(t.annotators.c.name).where(t.annotators.c.name == name)).first()
            if taken or not self._add(c, name, row.role, stored):
                raise InputError(f"name: {name!r} is taken; choose another")
            write(c, now, name, "accept invitation", name, role=row.role)
        return Account(name, row.role)

    def sign_in(self, name: str, password: str) -> str | None:
        """A session's secret; None where name and password do not belong together."""
        with self.store.reading() as c:
            row = c.execute(sa.select(a.accounts).where(a.accounts.c.name == name)).first()
        if not passwords.matches(password, row.password if row is not None and row.active else None):
            return None
        with self.store.transaction() as c:
            return self._issue(c, "session", name, "signed in")

    def login_link(self, name: str) -> str:
        """A secret that opens one session, as for whoever started the server."""
        with self.store.transaction() as c:
            return self._issue(c, "login", name, "started the server")

    def open_link(self, secret: str) -> str | None:
        """A session's secret for a link's; None where it was used or has expired."""
        with self.store.transaction() as c:
            row = self._use(c, "login", secret)
            return None if row is None else self._issue(c, "session", row.account, "one-time link")

    def token(self, name: str, label: str, by: str) -> str:
        """A secret for programs that act for an account."""
        with self.store.transaction() as c:
            write(c, self.clock(), by, "make token", name, label=label)
            return self._issue(c, "token", name, label[:200])

    def tokens(self, name: str) -> list[dict[str, Any]]:
        """What an account's tokens are called, since when and until when; and an id by which to revoke them."""
        query = sa.select(a.secrets).where(a.secrets.c.account == name, a.secrets.c.kind == "token")
        with self.store.reading() as c:
            rows = c.execute(query.order_by(a.secrets.c.created_at)).all()
        return [
            {"id": r.hash[:16], "label": r.label, "created_at": r.created_at, "expires_at": r.expires_at} for r in rows
        ]

    def revoke(self, name: str, token: str, by: str) -> bool:
        """End a token by its id; whether there was one."""
        mine = (a.secrets.c.account == name) & (a.secrets.c.kind == "token")
        with self.store.transaction() as c:
            found = c.execute(a.secrets.delete().where(mine, a.secrets.c.hash.startswith(token, autoescape=True)))
            if found.rowcount:
                write(c, self.clock(), by, "revoke token", name)
            return bool(found.rowcount)

    def whose(self, secret: str, kind: Kind) -> Account | None:
        """The active account that a session or token belongs to."""
        query = (
            sa.select(a.accounts)
            .join(a.secrets, a.secrets.c.account == a.accounts.c.name)
            .where(a.secrets.c.hash == _hash(secret), a.secrets.c.kind == kind, a.accounts.c.active)
            .where(a.secrets.c.expires_at > self.clock())
        )
        with self.store.reading() as c:
            row = c.execute(query).first()
        return None if row is None else _account(row)

    def sign_out(self, session: str) -> None:
        with self.store.transaction() as c:
            c.execute(a.secrets.delete().where(a.secrets.c.hash == _hash(session)))

    def change(self, name: str, by: str, *, role: Role | None = None, active: bool | None = None) -> Account:
        """Another role, or shut; a shut account's sessions and tokens end. InputError where nobody could administer."""
        values: dict[str, Any] = {k: v for k, v in {"role": role, "active": active}.items() if v is not None}
        with self.store.transaction() as c:
            row = c.execute(sa.select(a.accounts).where(a.accounts.c.name == name)).first()
            if row is None:
                raise InputError(f"no account {name!r}")
            if values:
                c.execute(a.accounts.update().where(a.accounts.c.name == name).values(**values))
                self._check_admin(c)
                if active is False:
                    c.execute(a.secrets.delete().where(a.secrets.c.account == name))
                write(c, self.clock(), by, "change account", name, **values)
            return _account(c.execute(sa.select(a.accounts).where(a.accounts.c.name == name)).one())

    def remove(self, name: str, by: str) -> None:
        """Delete an account with all its secrets. What the person has labelled stays, under their annotator's name."""
        with self.store.transaction() as c:
            gone = c.execute(a.accounts.delete().where(a.accounts.c.name == name))
            if not gone.rowcount:
                raise InputError(f"no account {name!r}")
            self._check_admin(c)
            c.execute(a.secrets.delete().where(a.secrets.c.account == name))
            write(c, self.clock(), by, "remove account", name)

    def _add(self, c: sa.Connection, name: str, role: str, password: str | None) -> bool:
        values = {"name": name, "role": role, "password": password, "active": True, "created_at": self.clock()}
        added = insert_missing(c, a.accounts, "name").values(**values).returning(a.accounts.c.name)
        return c.execute(added).first() is not None

    def _issue(self, c: sa.Connection, kind: Kind, account: str | None, label: str, role: str | None = None) -> str:
        secret, now = random.token_urlsafe(32), self.clock()
        values = {"hash": _hash(secret), "kind": kind, "account": account, "role": role, "label": label}
        c.execute(a.secrets.insert().values(**values, created_at=now, expires_at=now + LIFETIME[kind]))
        return secret

    def _use(self, c: sa.Connection, kind: Kind, secret: str) -> Any:
        """The row of a secret that works once, used up by this; None where it was used, has expired, or never was."""
        one = (a.secrets.c.hash == _hash(secret)) & (a.secrets.c.kind == kind)
        fresh = one & a.secrets.c.used_at.is_(None) & (a.secrets.c.expires_at > self.clock())
        used = c.execute(a.secrets.update().where(fresh).values(used_at=self.clock()))
        return c.execute(sa.select(a.secrets).where(one)).first() if used.rowcount else None

    @staticmethod
    def _check_admin(c: sa.Connection) -> None:
        if c.execute(sa.select(a.accounts.c.name).where(a.accounts.c.role == "admin", a.accounts.c.active)).first():
            return
        raise InputError("this would leave nobody who can administer; make another account admin first")


def _account(row: Any) -> Account:
    return Account(row.name, row.role, bool(row.active))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
