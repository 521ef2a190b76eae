"""CMS SignedData as the instance metadata service returns it: one signer, SHA-256, RSA, signed attributes.

`identity_document` verifies the parts that this module returns; certificates inside the blob are ignored.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from whence_common.ber import BerInvalid, Element
from whence_common.errors import InputError

_SEQUENCE, _SET, _OID, _OCTETS, _OCTETS_PARTS, _INTEGER = 0x30, 0x31, 0x06, 0x04, 0x24, 0x02
_EXPLICIT_0, _EXPLICIT_1 = 0xA0, 0xA1
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")
_CONTENT_TYPE = bytes.fromhex("2a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_SHA256 = bytes.fromhex("608648016503040201")
_RSA = bytes.fromhex("2a864886f70d010101")
_SHA256_WITH_RSA = bytes.fromhex("2a864886f70d01010b")


class CmsRefused(InputError):
    """The blob does not have the one form of CMS that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """`signature` is over the bytes `signed`, which contain the digest of `content`; that digest was compared."""

    content: bytes
    signed: bytes
    signature: bytes
    serial: int
    """Serial number of the signer's certificate; the region's certificate must have it."""


def open_signed_data(root: Element) -> SignedData:
    """Parse SignedData and check everything except the signature itself. Raises CmsRefused or BerInvalid."""
    outer = _children(root, _SEQUENCE, 2, 2)
    if _oid(outer[0]) != _SIGNED_DATA:
        raise CmsRefused("cms-not-signed-data", "the outer type is not SignedData")
    signed_data = _children(_only(outer[1], _EXPLICIT_0), _SEQUENCE, 4, 6)
    inner = _children(signed_data[2], _SEQUENCE, 2, 2)
    if _oid(inner[0]) != _DATA:
        raise CmsRefused("cms-not-data", "the inner type is not data")
    content = _octets(_only(inner[1], _EXPLICIT_0))
    for optional in signed_data[3:-1]:
        if optional.tag not in (_EXPLICIT_0, _EXPLICIT_1):
            raise CmsRefused("cms-shape", "an unexpected element precedes the signer")
    signers = _children(signed_data[-1], _SET, 0, 16)
    if len(signers) != 1:
        raise CmsRefused("cms-signers", f"{len(signers)} signers; exactly one is accepted")
    return _signer(signers[0], content)


def _signer(signer: Element, content: bytes) -> SignedData:
    parts = _children(signer, _SEQUENCE, 6, 7)
    if len(parts) == 7 and parts[6].tag != _EXPLICIT_1:
        raise CmsRefused("cms-shape", "an unexpected element follows the signature")
    identifier = _children(parts[1], _SEQUENCE, 2, 2)
    if identifier[1].tag != _INTEGER or not 0 < len(identifier[1].content) <= 32:
        raise CmsRefused("cms-signer-identifier", "the signer is not named by issuer and serial")
    if _algorithm(parts[2]) != _SHA256 or _algorithm(parts[4]) not in (_RSA, _SHA256_WITH_RSA):
        raise CmsRefused("cms-algorithm", "only RSA with SHA-256 is accepted")
    if parts[3].tag != _EXPLICIT_0:
        raise CmsRefused("cms-attributes", "there are no signed attributes")
    attributes = _attributes(parts[3])
    if attributes.get(_CONTENT_TYPE) != Element(_OID, _DATA, ()):
        raise CmsRefused("cms-attributes", "the signed content type is not data")
    stated = attributes.get(_MESSAGE_DIGEST)
    actual = hashlib.sha256(content).digest()
    if stated is None or stated.tag != _OCTETS or not hmac.compare_digest(stated.content, actual):
        raise CmsRefused("cms-digest", "the signed digest differs from the content's digest")
    return SignedData(
        content=content,
        signed=parts[3].encode(tag=_SET),
        signature=_octets(parts[5]),
        serial=int.from_bytes(identifier[1].content, "big", signed=True),
    )


def _attributes(element: Element) -> dict[bytes, Element]:
    attributes: dict[bytes, Element] = {}
    for one in element.children:
        name, values = _children(one, _SEQUENCE, 2, 2)
        value = _children(values, _SET, 1, 1)[0]
        if _oid(name) in attributes:
            raise CmsRefused("cms-attributes", "a signed attribute appears twice")
        attributes[_oid(name)] = value
    return attributes


def _algorithm(element: Element) -> bytes:
    return _oid(_children(element, _SEQUENCE, 1, 2)[0])


def _children(element: Element, tag: int, least: int, most: int) -> tuple[Element, ...]:
    if element.tag != tag or not least <= len(element.children) <= most:
        raise CmsRefused("cms-shape", "an element is missing or is not at its place in SignedData")
    return element.children


def _only(element: Element, tag: int) -> Element:
    return _children(element, tag, 1, 1)[0]


def _oid(element: Element) -> bytes:
    if element.tag != _OID:
        raise CmsRefused("cms-shape", "an object identifier is missing")
    return element.content


def _octets(element: Element) -> bytes:
    """Return an octet string that is primitive, or constructed of primitive parts."""
    if element.tag == _OCTETS:
        return element.content
    if element.tag == _OCTETS_PARTS and all(part.tag == _OCTETS for part in element.children):
        return b"".join(part.content for part in element.children)
    raise BerInvalid("an octet string is missing, or its parts are constructed themselves")
