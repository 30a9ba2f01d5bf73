"""Connection URLs, and what drivers say of them, without what nobody but the database may see."""

import re
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
_VARIABLE = r"\$\{\w+\}"  # of a profile.yaml: a name, not what it stands for
_USER = re.compile(rf"(?<=://)(?!(?:[^:@/]*:)?{_VARIABLE}@)[^/].*@")  # to the last @: a password may hold one as it is
_OPTION = re.compile(rf"(?<=[?&])([^=&]+)=(?!{_VARIABLE}(?:&|$))[^&]+")


def masked(url: str) -> str:
    """A connection URL as it may be shown: without user and password, nor the values of its options.

    Parameters
    ----------
    url : str
        Any address of a profile; one without such parts is as it was.

    Examples
    --------
    >>> masked("postgres://patron:s3cret@db.example/shop?sslmode=require")
    'postgres://***@db.example/shop?sslmode=***'
    >>> masked("postgres://patron:${PGPASSWORD}@db.example/shop")
    'postgres://patron:${PGPASSWORD}@db.example/shop'
    >>> masked("spark:///data/profile"), masked("data/profile")
    ('spark:///data/profile', 'data/profile')
    """
    return _OPTION.sub(rf"\1={HIDDEN}", _USER.sub(f"{HIDDEN}@", url)) if "://" in url else url


def without_secrets(said: str, url: str) -> str:
    """What a driver said of a URL, with the URL masked and its password and options wherever they stand in it.

    Parameters
    ----------
    said : str
        The message.
    url : str
        What was connected to.

    Examples
    --------
    >>> without_secrets("no such host in 'user:a%40b@x', password a@b", "postgres://user:a%40b@x/shop")
    "no such host in 'user:***@x', password ***"
    """
    try:
        password = urlsplit(url).password or ""
    except ValueError:  # an address that is none
        password = ""
    said = said.replace(url, masked(url))
    for secret in filter(None, (password, unquote(password))):
        said = said.replace(secret, HIDDEN)
    for option in filter(None, (part.partition("=")[2] for part in url.partition("?")[2].split("&"))):
        said = re.sub(rf"(?<!\w){re.escape(option)}(?!\w)", HIDDEN, said)  # a 5 is not to garble the port 5432
    return said
