"""Which URLs of a caller's may be reached: none that leads into the network that the services stand in.

Source of the dangers: OWASP, "Server-Side Request Forgery Prevention Cheat Sheet".
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from roomviz.errors import InvalidArgument

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_LENGTH_MAX = 2048
# IPv6 addresses with an IPv4 one in their last 32 bits: RFC 6052, 2.1; RFC 8215.
_NAT64 = tuple(ipaddress.IPv6Network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48"))


@dataclass(frozen=True)
class Rules:
    """schemes and ports that are taken; hosts: these and those below them alone, any where empty; networks: of our
    own that may be reached all the same, such as a picture store's."""

    schemes: tuple[str, ...] = ("https",)
    ports: tuple[int, ...] = (443,)
    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Target:
    url: str
    scheme: str
    host: str
    port: int


def forbidden(message: str) -> InvalidArgument:
    return InvalidArgument("URL_FORBIDDEN", message)


def target(url: str, rules: Rules) -> Target:
    """The parts of a URL that may be asked.

    Raises:
        InvalidArgument: URL_INVALID where it is none, URL_FORBIDDEN where the rules exclude it. Addresses are looked
            at when the connection is made (`check_addresses`).
    """
    if not url or len(url) > URL_LENGTH_MAX or not url.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in url):
        raise InvalidArgument("URL_INVALID", f"url must be an absolute URL of at most {URL_LENGTH_MAX} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgument("URL_INVALID", "url cannot be read") from None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    if scheme and scheme not in rules.schemes:
        raise forbidden(f"only {' and '.join(rules.schemes)} URLs are taken")
    if not scheme or not host:
        raise InvalidArgument("URL_INVALID", "url must begin with a scheme and a host, such as https://example.com/")
    if parts.username is not None or parts.password is not None:
        raise forbidden("a URL with a user name or password is not taken")
    if port is None:
        port = 443 if scheme == "https" else 80
    if port not in rules.ports:
        raise forbidden(f"port {port} is not reached")
    if rules.hosts and not any(host == allowed or host.endswith(f".{allowed}") for allowed in rules.hosts):
        raise forbidden(f"{host} is not among the hosts that are reached")
    return Target(url, scheme, host, port)


def check_addresses(host: str, addresses: Sequence[str], rules: Rules) -> None:
    """Refuse a host if a single one of its addresses is not public: a name may point to several, for a purpose.

    Raises:
        InvalidArgument: URL_FORBIDDEN.
    """
    for text in addresses:
        address = _innermost(ipaddress.ip_address(text.partition("%")[0]))
        allowed = any(address.version == n.version and address in n for n in rules.networks)
        if not allowed and (not address.is_global or address.is_multicast):
            raise forbidden(f"{host} is not a public address")


def check_literal(asked: Target, rules: Rules) -> None:
    """Refuse a URL whose host is an address that may not be reached; names are looked up when they are connected to."""
    try:
        ipaddress.ip_address(asked.host.partition("%")[0])
    except ValueError:
        return
    check_addresses(asked.host, [asked.host], rules)


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in n for n in _NAT64) or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def network(address: str) -> str:
    """Whom an address belongs to: an IPv6 customer has a whole /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
