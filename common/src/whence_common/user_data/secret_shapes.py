"""Detect secrets by names of keys, known formats, and random text. Pure; agent and aggregator mask the same values.

A text that contains a secret, or names one, is masked as a whole. Identifiers are not masked: versions, digests with
their algorithm, UUIDs, host names, ids of AWS resources, image references.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

_DEPTH_MAX = 3
_HARMLESS_PARTS = re.compile(
    r"passenger|passive|pass_?through|bypass|compass|author(?!i[sz]ation|i[sz]e)|tokeni[sz]er?|keyboard|monkey|"
    r"max_?tokens|public_?key|partition_?key|sort_?key|primary_?key|foreign_?key|routing_?key|row_?key|cache_?key"
)
_SECRET_PARTS = (
    "pass", "secret", "token", "credential", "private", "apikey", "api_key", "accesskey", "access_key", "accountkey",
    "account_key", "sharedkey", "webhook", "kennwort", "signature",
)  # fmt: skip
_SECRET_WORDS = frozenset(
    {
        "auth", "authorization", "authorisation", "authentication", "pw", "pwd", "pswd", "psw", "pin", "jwt", "pat",
        "psk", "sas", "sig", "otp", "totp", "hmac", "dsn", "salt", "pepper", "cookie", "bearer", "creds", "cred",
        "passwd",
    }
)  # fmt: skip
_KEY_WORDS = frozenset({"key", "keys"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLACE_NAME = re.compile(r"[_.-](?:url|uri|host|port|path|endpoint)\Z")

_PAIR = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,80})\\{0,3}["']{0,2}\s{0,4}(?:=>|:=|=|:(?!//))\s{0,80}(?=\\{0,3}["']{0,2}[^\s"'\\,;&}])"""
)
_OPTION = re.compile(r"""(?:\A|[\s"'\[(,;=`|])--?(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,80})["']?[\s,]+(?=["']?[^\s"'-])""")
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z_][A-Za-z0-9_.:-]{0,80})(?:\s[^<>]{0,200})?>\s*(?=[^<\s])")
_BESIDE = re.compile(
    r"""\b(?:name|key)\\{0,3}["']?\s{0,4}[:=]\s{0,4}\\{0,3}["']?(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,80})\\{0,3}["']?[\s,]{1,80}(?:-\s)?\\{0,3}["']?value\b""",
    re.IGNORECASE,
)
"""As in `{name: DB_PASSWORD, value: …}`, JSON, YAML or XML."""
_ATTRIBUTE = re.compile(r"""<(?P<name>[A-Za-z_][A-Za-z0-9_.:-]{0,80})\s[^<>]{0,200}?\bvalue\s?=\s?["'][^"']""")
_DIRECTIVE = re.compile(
    r"^[ \t]*(?:(?:set|setenv|export|env|arg|config)[ \t]+)?"
    r"(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,80})[ \t]{1,80}[^\s]{1,300}[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line with a name and one value, such as `requirepass …` or `ENV DB_PASSWORD …`."""
_QUOTED = re.compile(r"""\b(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,80})\s{1,4}\\{0,3}["'][^\s"']""")
_ARGUMENT = re.compile(
    r"\b(?:mysql|mariadb)[a-z-]{0,10}\s(?:[^\n;|&]{0,200}?\s)?-p\S|\bsshpass\s{1,4}-p\s{0,4}\S|"
    r"\b(?:docker|podman|skopeo|helm)\s[^\n;|&]{0,80}?\blogin\s(?:[^\n;|&]{0,200}?\s)?-p\s{0,4}\S|"
    r"\bredis-cli\s(?:[^\n;|&]{0,200}?\s)?-a\s{0,4}\S|\bsqlplus\s{1,4}(?:-\w{1,9}\s{1,4}){0,4}[^\s/]{1,60}/[^\s@]|"
    r"\bhtpasswd\s(?:[^\n;|&]{0,200}?\s)?-[A-Za-z]{0,5}b|\bopenssl\s[^\n;|&]{0,200}?\s-(?:k|K)\s{1,4}\S|"
    r"\b(?i:identified\s{1,4}by)\s"
)
"""Programs and SQL with a password argument that has no name."""
_SIGN_IN = re.compile(r"""(?:\A|\s)(?:-u|--(?:proxy-)?user)[\s=]{0,4}["']?[^\s:"']{1,300}:[^\s"'/]""")
_FORMS = re.compile(
    r"-----BEGIN |"
    r"\beyJ[A-Za-z0-9_-]{6,2000}\.[A-Za-z0-9_-]{6}|"
    r"\b(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|AROA)[A-Z0-9]{12,}|"
    r"\b(?:gh[pousr]_|github_pat_|glpat-|gldt-|glsa_|glrt-|xox[abeoprs]-|xapp-|pypi-AgE|dckr_pat_|hvs\.|hvb\.|"
    r"whsec_|dop_v1_|shp(?:at|ss|pa|ca)_|NRAK-|PMAK-|lin_api_|ya29\.|sbp_|figd_|GOCSPX-|ATATT|tskey-|pscale_|ops_eyJ|"
    r"AGE-SECRET-KEY-|[sr]k_(?:live|test)_)[A-Za-z0-9._-]{8}|"
    r"\b(?:npm_|hf_)[A-Za-z0-9]{16}|\bAIza[A-Za-z0-9_-]{30}|\bsl\.[A-Za-z0-9._-]{40}|\bdapi[0-9a-f]{32}|"
    r"\bSG\.[A-Za-z0-9_-]{10,40}\.[A-Za-z0-9_-]{10}|\bsk-(?=[A-Za-z_-]{0,80}[0-9])[A-Za-z0-9_-]{16}|"
    r"\b(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8}|\b(?i:basic)\s+(?=\S{1,80}[A-Z0-9=])[A-Za-z0-9+/_-]{8}|"
    r"\$(?:1|2[abxy]|5|6|7|y|argon2[id]{1,2}|apr1)\$[A-Za-z0-9./$,=]{8}|"
    r"\b(?i:login)\s+\S+\s+(?i:password)\s+\S|"
    r"(?<!\barn:)\baws:(?:kms|secretsmanager|ssm):"
)
_REFERENCE = re.compile(r"(?<!\barn:)\baws:(?:kms|secretsmanager|ssm):")
_USER_AND_PASSWORD = re.compile(r"://[^/?#\s@:]{1,300}:[^/?#\s@$]{1,300}@")
_URL = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s"'<>\\]+""")
_USER = re.compile(r"://[^/?#\s@]{1,300}@")
_WEBHOOK = re.compile(
    r"://(?:hooks\.slack\.com/|(?:\w+\.)?discord(?:app)?\.com/api/webhooks/|[\w.-]*webhook\.office\.com/|"
    r"outlook\.office(?:365)?\.com/webhook|[\w.-]*\.logic\.azure\.com|[\w.-]*powerplatform\.com[:/]|"
    r"events\.(?:eu\.)?pagerduty\.com/|api\.telegram\.org/bot|hooks\.zapier\.com/|hooks\.chime\.aws/|"
    r"chat\.googleapis\.com/|maker\.ifttt\.com/|hooks\.[\w.-]+/|[^/\s]+/(?:[\w/-]*/)?(?:web)?hooks?/[^/\s])",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"\bsha(?:1|224|256|384|512)[:-][0-9a-f]{40,128}\b|"
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|"
    r"\b[a-z]{1,14}-[0-9a-f]{17}\b|"
    r"\barn:aws[a-z-]*:elasticloadbalancing:[a-z0-9:/._-]+|"
    r"/(?:commits?|tree|blob|raw|archive|compare)/[0-9a-f]{40}\b",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{7,}={0,2}")
_CHUNK = re.compile(r"[A-Za-z0-9]+")
_TOKEN = re.compile(r"[A-Za-z0-9+/_=~-]{16,}")
_PASSWORD = re.compile(r"""[^\s"'`,;={}\[\]<>|/\\:]{10,200}""")
_SYMBOL_WITHIN = re.compile(r"[A-Za-z0-9][!$%^&*#?@~+_.()-]{0,3}[!$%^&*#][!$%^&*#?@~+_.()-]{0,3}[A-Za-z0-9]")
_PASSWORD_CHARACTERS_MIN = 8
_PASSWORD_RUN_CHARACTERS_MIN = 2.1
"""In generated passwords with symbols, runs of letters or digits are shorter than this on average."""
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:[0-9a-f]{32,}|[0-9A-F]{32,})(?![A-Za-z0-9])")
_CHUNK_CHARACTERS_MIN = 6
_JUMBLED_CHARACTERS_MIN = 16
_SHORT_RUN_CHARACTERS_MIN = 2.0
_RUN_CHARACTERS_MIN = 3.0
"""Words and numbers are longer than this on average; runs in base64 are shorter."""
_PAIRS = """
th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa si ar ve ra
ld ur ro ri io ic me ne ll li ta co us la el ma ec ce ch om ho so no tr di ca un em be ge ac sh wa wh pe po ee
ss mo rs lo ot il pr ai ow ct id ul ut ts ns ir am ad ab ag ap im ib op ob ev ex ef pa pl pu pt fi fo fr fa fe
ff bl bo br bu ba cr cl ck da do du dr gr go ga gi gu ht ie ig iv ke ki mi mp mu my nc ni na nf nu od og ok ol
oo os ov oc pi qu rc rd rg rk rm rn rt ru rv ry sc sp su sw sy tu tw ty tt ua ub uc ue ug ui up va vi wi wo ye
ys gs eh hr hl kl rf uf zu ze tz ft lt lu ks
"""
_COMMON_PAIRS = frozenset(_PAIRS.split())
"""Common pairs of letters: nine in ten pairs in words, and three in ten pairs in random text."""
_COMMON_SHARE_MIN = 0.6
_ENTROPY_BITS_MIN = 2.8


def is_secret_name(name: str) -> bool:
    """Return whether the value of this key, or dotted path, may be secret."""
    lowered = name.lower()
    if "webhook" in lowered:
        return True
    if _PLACE_NAME.search(lowered):
        return False
    lowered = _HARMLESS_PARTS.sub("", lowered)
    if any(part in lowered for part in _SECRET_PARTS):
        return True
    words = [word.lower() for word in _WORDS.findall(name)]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    return len(words) > 1 and words[-1] in _KEY_WORDS and lowered.endswith(("key", "keys"))


def names_secret(text: str) -> bool:
    """Return whether the text is an option such as `--token`, whose value is the next argument."""
    match = re.fullmatch(r"--?([A-Za-z][A-Za-z0-9_.-]{0,80})", text)
    return match is not None and is_secret_name(match[1])


def passes_secret(words: Sequence[str]) -> bool:
    """Return whether a command has a password among its arguments."""
    command = " ".join(words)
    return _ARGUMENT.search(command) is not None or _SIGN_IN.search(command) is not None


def holds_secret(text: str, depth: int = 0) -> bool:
    """Return whether a text contains or names a secret, or looks like one; encoded parts are decoded."""
    if _FORMS.search(text) or passes_secret([text]) or any(is_secret_name(name) for name in _named(text)):
        return True
    if any(_is_secret_url(match[0], depth) for match in _URL.finditer(text)):
        return True
    rest = _HARMLESS.sub(" ", text)
    if _HEX.search(rest) or any(_is_jumbled(token) for token in _TOKEN.findall(rest)):
        return True
    if any(_is_made_password(word) for word in _PASSWORD.findall(rest)):
        return True
    if depth >= _DEPTH_MAX:
        return False
    plain = unquote(text)
    return (plain != text and holds_secret(plain, depth + 1)) or any(
        _is_secret_within(decoded, depth) for decoded in _decoded(rest)
    )


def has_known_form(text: str) -> bool:
    """Return whether a text contains a key or token of a known format; references to secrets are none."""
    return _FORMS.search(_REFERENCE.sub("", text)) is not None or _USER_AND_PASSWORD.search(text) is not None


def is_identifier(text: str) -> bool:
    """Return whether a text has the form of an id, a version or an image reference."""
    return re.fullmatch(r"[A-Za-z0-9._:/+-]{1,300}(?:@sha256:[0-9a-f]{64})?", text) is not None and "://" not in text


def _named(text: str) -> Iterator[str]:
    for pattern in (_PAIR, _OPTION, _ELEMENT, _ATTRIBUTE, _BESIDE, _DIRECTIVE, _QUOTED):
        for match in pattern.finditer(text):
            yield match["name"]


def _is_secret_url(url: str, depth: int) -> bool:
    if _WEBHOOK.search(url) or (_USER.search(url) and not url.startswith("ssh://git@")):
        return True
    _, _, query = url.partition("?")
    for part in re.split(r"[?&#;]", query):
        name, _, value = part.partition("=")
        if value and (is_secret_name(name) or name.lower() in ("key", "code", "sv", "se") or _is_jumbled(value)):
            return True
    return depth < _DEPTH_MAX and any(_is_jumbled(_HARMLESS.sub("", one)) for one in url.split("/")[3:])


def _decoded(text: str) -> Iterator[str]:
    """Yield the decoded text of each word that is base64 of printable text."""
    for word in _BASE64.findall(text):
        for altchars in (b"+/", b"-_"):
            try:
                content = base64.b64decode(word.rstrip("=") + "=" * (-len(word.rstrip("=")) % 4), altchars, True)
                plain = content.decode("utf-8")
            except (binascii.Error, ValueError):
                continue
            if len(plain) >= 5 and all(c.isprintable() or c in "\r\n\t" for c in plain):
                yield plain
            break  # the other alphabet has the same result


def _is_secret_within(plain: str, depth: int) -> bool:
    """Return whether decoded text is secret; user:password, the form of HTTP's Basic scheme, counts as secret."""
    return re.fullmatch(r"[^\s:]{1,100}:[^\s:/]\S*", plain) is not None or holds_secret(plain, depth + 1)


def _is_jumbled(text: str) -> bool:
    """Return whether enough of a text is neither words nor numbers that it is likely random."""
    jumbled = "".join(chunk for chunk in _CHUNK.findall(text) if _is_jumbled_chunk(chunk))
    return len(jumbled) >= _JUMBLED_CHARACTERS_MIN and _entropy_bits(jumbled) >= _ENTROPY_BITS_MIN


def _is_made_password(word: str) -> bool:
    """Return whether a word with symbols in it is likely random."""
    if not _SYMBOL_WITHIN.search(word):
        return False
    letters = "".join(_CHUNK.findall(word))
    if len(letters) < _PASSWORD_CHARACTERS_MIN or letters.isdigit():
        return False
    return len(letters) / len(_RUN.findall(letters)) < _PASSWORD_RUN_CHARACTERS_MIN


def _is_jumbled_chunk(chunk: str) -> bool:
    if chunk.isdigit() or len(chunk) < 3:
        return False
    run_characters = len(chunk) / len(_RUN.findall(chunk))
    if len(chunk) < _CHUNK_CHARACTERS_MIN:
        return run_characters < _SHORT_RUN_CHARACTERS_MIN
    if run_characters < _RUN_CHARACTERS_MIN:
        return True
    lowered = chunk.lower()
    pairs = [lowered[place : place + 2] for place in range(len(chunk) - 1)]
    return sum(pair in _COMMON_PAIRS or pair.isdigit() for pair in pairs) / len(pairs) < _COMMON_SHARE_MIN


def _entropy_bits(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
