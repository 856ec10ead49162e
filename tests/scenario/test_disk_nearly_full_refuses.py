"""With too little free disk beside the store's file, new mail is refused before it is too late."""

from __future__ import annotations

import shutil

import msgspec

from shared.api_keys import generate
from shared.clock import SystemClock
from shared.model.message import CLASSES
from shared.services import connect
from shared.settings import Settings, StoreSettings
from tests.support.redis_server import RedisServer
from tests.support.system import message
from web.app import create_app


def test_disk_nearly_full_refuses(own_redis_server: RedisServer) -> None:
    free = shutil.disk_usage(own_redis_server.directory).free
    store = StoreSettings(
        redis_url=own_redis_server.url,
        data_dir=str(own_redis_server.directory),
        disk_reserve_bytes=free * 2,
    )
    settings = Settings(store=store)
    services = connect(settings)
    text, key = generate("shop", (), CLASSES, SystemClock())
    services.keys.add(key)
    headers = {"Authorization": f"Bearer {text}"}
    refusing = create_app(settings, services).test_client()
    answer = refusing.post("/v1/messages", json=message(), headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert refusing.get("/readyz").json == {"ready": False, "reasons": ["store_disk"]}
    nowhere = Settings(store=msgspec.structs.replace(store, data_dir="/nowhere/at/all"))
    unseen = create_app(nowhere, connect(nowhere)).test_client()
    assert unseen.get("/readyz").json == {"ready": False, "reasons": ["store_disk"]}
    roomy = Settings(store=msgspec.structs.replace(store, disk_reserve_bytes=0))
    accepting = create_app(roomy, connect(roomy)).test_client()
    assert accepting.post("/v1/messages", json=message(), headers=headers).status_code == 202
    assert [event.kind for event in services.spool.events()] == ["accepted"]
