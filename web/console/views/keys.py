"""API keys: list, create, revoke.

A key's text is on the answer to its form and nowhere else: it is not stored, not in an address, and
a form that is sent twice makes one key and shows it once. What a person may not do himself, no key
that he creates may, nor may he revoke one that does.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

import msgspec
from flask import render_template, request
from werkzeug.datastructures import MultiDict

from shared.api_keys import application_of, domains_of, generate
from shared.errors import ConfigError
from shared.model.message import CLASSES, MessageClass
from shared.store.keys import SCOPES, ApiKey, Scope
from shared.store.records import Change
from web.console.desk import Desk, Visitor
from web.console.pages import Pages, go
from web.errors import Problem, changing

PAGE = 100
FORMS = "key-forms"
"""The kind of record that says which form has made which key."""
_FORM_MS = 24 * 3_600_000
_FORM = re.compile(r"[A-Za-z0-9_-]{32}\Z")
_SEPARATORS = re.compile(r"[\s,;]+")
MOST_DOMAINS = 50


class Asked(msgspec.Struct, frozen=True):
    """What the form of a new key says."""

    application: str = ""
    domains: str = ""
    scopes: tuple[str, ...] = ("send",)
    classes: tuple[str, ...] = CLASSES


class Checked(msgspec.Struct):
    """The same, checked, and what is wrong with it by field."""

    errors: dict[str, str]
    application: str = ""
    domains: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    classes: tuple[MessageClass, ...] = ()


def register(pages: Pages, desk: Desk) -> None:
    """`/console/keys`."""
    views = _Views(desk)
    pages.get("/keys", views.index, "keys")
    pages.get("/keys/new", views.form, "keys", confirm=True)
    pages.post("/keys", views.create, "keys", confirm=True)
    pages.get("/keys/<key_id>/revoke", views.ask, "keys", confirm=True)
    pages.post("/keys/<key_id>/revoke", views.revoke, "keys", confirm=True)
    pages.notices["key_revoked"] = "The key is revoked."


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._keys = desk.context.services.keys

    def index(self, visitor: Visitor) -> str:
        """GET /console/keys: the newest first."""
        keys = list(reversed(self._keys.all()))
        before = request.args.get("before", "")
        at = next((at for at, key in enumerate(keys, 1) if key.id == before), 0)
        rows = keys[at : at + PAGE]
        return render_template(
            "console/keys.html",
            keys=rows,
            last_used=self._keys.last_used(),
            every_class=len(CLASSES),
            may_revoke={key.id for key in rows if _may(visitor, key.scopes)},
            following=rows[-1].id if len(keys) > at + PAGE else "",
            begun=at > 0,
        )

    def form(self, visitor: Visitor) -> str:
        """GET /console/keys/new."""
        return self._form(visitor, Asked(), {}, secrets.token_urlsafe(24))

    def create(self, visitor: Visitor) -> Any:
        """POST /console/keys: the answer shows the key, once."""
        form = request.form.get("form", "")
        if not _FORM.match(form):
            raise Problem(400, "no_form", "This form is not whole. Open it anew. Nothing was done.")
        asked = _asked(request.form)
        checked = check(asked)
        if checked.errors:
            return self._form(visitor, asked, checked.errors, form), 422
        if not _may(visitor, checked.scopes):
            raise Problem(403, "not_allowed", "Your role does not allow keys that operate.")
        text, key = generate(
            checked.application,
            checked.domains,
            checked.classes,
            self._desk.context.services.clock,
            checked.scopes,
        )
        if not self._claimed(visitor, form, key):
            return self._sent_before(visitor, form), 409
        with changing():
            self._keys.add(key)
        return render_template("console/key_created.html", key=key, text=text)

    def ask(self, visitor: Visitor, key_id: str) -> str:
        """GET /console/keys/{id}/revoke: what stops working."""
        key = self._key(visitor, key_id)
        others = [
            each
            for each in self._keys.all()
            if each.application == key.application and each.id != key.id and not each.revoked_ms
        ]
        return render_template(
            "console/key_revoke.html",
            key=key,
            used_ms=self._keys.last_used().get(key.id),
            others={scope: sum(scope in each.scopes for each in others) for scope in SCOPES},
            cache_seconds=self._desk.settings.web.key_cache_seconds,
        )

    def revoke(self, visitor: Visitor, key_id: str) -> Any:
        """POST /console/keys/{id}/revoke."""
        key = self._key(visitor, key_id)
        if key.revoked_ms is None:
            with changing():
                self._desk.audit(visitor, "key.revoked", key.id, application=key.application)
                self._keys.revoke(key.id)
        return go("/console/keys", "key_revoked")

    def _key(self, visitor: Visitor, key_id: str) -> ApiKey:
        """Raises a 404, or a 403 for a key that may do more than this person."""
        key = self._keys.find(key_id)
        if key is None:
            raise Problem(404, "not_found", "There is no such key.")
        if not _may(visitor, key.scopes):
            raise Problem(
                403,
                "not_allowed",
                "Your role does not allow this: the key may operate. Ask an owner.",
            )
        return key

    def _claimed(self, visitor: Visitor, form: str, key: ApiKey) -> bool:
        """Whether this form is sent for the first time.

        The audit trail says before the store has the key that there is one: an entry about a key
        that did not come to be is better than a key that nobody knows of.
        """
        ends = self._desk.now_ms() + _FORM_MS
        audited = self._desk.audited(
            visitor,
            "key.created",
            key.id,
            application=key.application,
            scopes=" ".join(key.scopes),
            domains=" ".join(key.from_domains) or "any",
            classes=" ".join(key.classes),
        )
        change = Change(FORMS, _form_key(visitor, form), key.id.encode(), None, ends)
        return self._desk.records.write([change], [audited])

    def _sent_before(self, visitor: Visitor, form: str) -> str:
        found = self._desk.records.get(FORMS, _form_key(visitor, form))
        key_id = (found or b"").decode()
        return render_template("console/key_again.html", key=self._keys.find(key_id))

    def _form(self, visitor: Visitor, asked: Asked, errors: dict[str, str], form: str) -> str:
        return render_template(
            "console/key_new.html",
            asked=asked,
            errors=errors,
            form=form,
            scopes=[scope for scope in SCOPES if _may(visitor, (scope,))],
            classes=CLASSES,
        )


def check(asked: Asked) -> Checked:
    """What `posthaste key create` would take, and nothing else."""
    found = Checked({})
    try:
        found.application = application_of(asked.application)
    except ConfigError as error:
        found.errors["application"] = _sentence(error)
    try:
        found.domains = domains_of(each for each in _SEPARATORS.split(asked.domains) if each)
        if len(found.domains) > MOST_DOMAINS:
            raise ConfigError(f"at most {MOST_DOMAINS} domains")
    except ConfigError as error:
        found.errors["domains"] = _sentence(error)
    found.scopes = tuple(each for each in SCOPES if each in asked.scopes)
    found.classes = tuple(each for each in CLASSES if each in asked.classes)
    for name, given, known in (
        ("scopes", asked.scopes, found.scopes),
        ("classes", asked.classes, found.classes),
    ):
        if not known or set(given) - set(known):
            found.errors[name] = "Tick at least one of these."
    return found


def _asked(fields: MultiDict[str, str]) -> Asked:
    return Asked(
        fields.get("application", ""),
        fields.get("domains", ""),
        tuple(fields.getlist("scopes")),
        tuple(fields.getlist("classes")),
    )


def _may(visitor: Visitor, scopes: tuple[Scope, ...]) -> bool:
    return "operate" not in scopes or visitor.user.may("operate")


def _sentence(error: ConfigError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _form_key(visitor: Visitor, form: str) -> bytes:
    return hashlib.sha256(f"{visitor.user.id}\0{form}".encode()).digest()
