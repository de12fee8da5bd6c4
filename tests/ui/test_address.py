import socket

import pytest

from studio.errors import ServerError
from studio.ui.address import Address, choose_address, is_loopback, parse_auth

AUTH = ("ada", "secret")


def choose(
    host: str | None = None, port: int | None = None, share: bool = False, auth: object = None, **environ: str
) -> Address:
    return choose_address(host, port, share=share, auth=auth, environ=environ)


def test_this_machine_alone_by_default() -> None:
    address = choose()
    assert address.host == "127.0.0.1" and 7860 <= address.port < 7880
    assert "*" not in address.visible_hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "studio.example"])
def test_other_machines_need_a_password(host: str) -> None:
    with pytest.raises(ServerError, match=f"host={host} is open to other machines; add --auth USER:PASS"):
        choose(host)


def test_only_who_started_it_may_name_folders() -> None:
    assert choose().own and choose("localhost").own
    guarded = [choose(auth=AUTH), choose("0.0.0.0", auth=AUTH), choose(share=True, auth=AUTH)]
    assert not any(address.own for address in [*guarded, choose("127.0.0.1", SPACE_ID="a/b")])


def test_a_proxy_in_front_has_a_name_of_its_own() -> None:
    assert choose("127.0.0.1", auth=AUTH).visible_hosts == ("*",)
    assert choose("127.0.0.1", auth=AUTH).welcome == ()


def test_share_needs_a_password() -> None:
    with pytest.raises(ServerError, match="add --auth USER:PASS"):
        choose(share=True)
    assert choose(share=True, auth=AUTH).visible_hosts == ("*",)


def test_a_password_opens_the_host() -> None:
    assert choose("0.0.0.0", auth=AUTH).visible_hosts == ("*",)


def test_on_a_space_the_platform_guards_the_door() -> None:
    address = choose(SPACE_ID="ada/atelier")
    assert address.host == "0.0.0.0" and address.visible_hosts == ("*",)


def test_the_environment_names_host_and_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    address = choose(GRADIO_SERVER_NAME="localhost", GRADIO_SERVER_PORT=str(free))
    assert (address.host, address.port) == ("localhost", free)
    with pytest.raises(ServerError, match="GRADIO_SERVER_PORT='x' is not a port"):
        choose(GRADIO_SERVER_PORT="x")


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is in use; .*--port"):
            choose(port=port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range(port: int) -> None:
    with pytest.raises(ServerError, match=f"port={port} is outside 1..65535"):
        choose(port=port)


def test_a_host_of_another_machine() -> None:
    with pytest.raises(ServerError, match="host=203.0.113.7 is no address of this machine"):
        choose("203.0.113.7", auth=AUTH)


def test_auth() -> None:
    assert parse_auth("ada:se:cret") == ("ada", "se:cret")
    for wrong in ("ada", ":secret", "ada:", ""):
        with pytest.raises(ServerError) as caught:
            parse_auth(wrong)
        assert "secret" not in str(caught.value)


def test_loopback() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")] == [True] * 5
    assert [is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "::", "localhost.example")] == [False] * 4
