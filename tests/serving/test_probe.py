"""Where the service can listen, told before it starts."""

import socket
from collections.abc import Iterator

import pytest

from serving.errors import AddressUnusable
from serving.probe import free_port, is_free, serve_command


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    """The loopback address of each version of the Internet Protocol that this machine has."""
    address = str(request.param)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
    return address


@pytest.fixture
def taken(host: str) -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        yield int(server.getsockname()[1])


def test_a_port_is_free_unless_somebody_listens(host: str, taken: int) -> None:
    assert not is_free(host, taken)
    assert is_free(host, free_port())


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        ("no-such-host.invalid", 3000, r"\w+"),
        ("192.0.2.1", 3000, "Cannot assign requested address"),
        ("127.0.0.1", 99_999, "port must be 0-65535"),
        ("x" * 80, 3000, "label"),
    ],
    ids=["unknown name", "another machine's", "no port", "no name"],
)
def test_an_address_that_nobody_can_listen_on_is_not_called_taken(host: str, port: int, found: str) -> None:
    with pytest.raises(AddressUnusable, match=rf"cannot listen on port {port} of '{host}': found .*{found}") as refused:
        is_free(host, port)
    assert "\n" not in str(refused.value)
    assert " in use" not in str(refused.value)


def test_a_name_is_told_to_the_server_as_its_address() -> None:
    command = serve_command(3000, "localhost")
    assert command[command.index("--host") + 1] in ("127.0.0.1", "::1")
