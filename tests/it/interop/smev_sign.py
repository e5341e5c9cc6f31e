"""Signatures of SMEV 3 by another hand: the canonical octets are lxml's, the SMEV transform is written here, the
mathematics are those of `cryptography` or, for GOST R 34.10-2012, of OpenSSL's engine. Also a module of smev_peer.py.

smev_sign.py sign KEY.pem CERTIFICATE.pem <ENVELOPE   prints the envelope with CallerInformationSystemSignature
smev_sign.py verify <ENVELOPE                         prints JSON: what each signature in the envelope is worth
smev_sign.py verify ENVELOPE…                         the same of each, as an array
smev_sign.py vectors FOLDER                           compares the transform with every FOLDER/x.in.xml and x.out.xml
"""

import base64
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DS + "enveloped-signature"
SMEV = "urn://smev-gov-ru/xmldsig/transform"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
GOST = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"

# By the kind of the certificate's key: identifiers of the signature and of the digest, and the hash behind both.
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
KEYS = {
    "1.2.840.113549.1.1.1": (MORE + "rsa-sha256", SHA256, "sha256"),
    "1.2.840.10045.2.1": (MORE + "ecdsa-sha256", SHA256, "sha256"),
    "1.2.643.7.1.1.1.1": (GOST + "gostr34102012-gostr34112012-256", GOST + "gostr34112012-256", "md_gost12_256"),
    "1.2.643.7.1.1.1.2": (GOST + "gostr34102012-gostr34112012-512", GOST + "gostr34112012-512", "md_gost12_512"),
}
HASHES = {digest: name for _, digest, name in KEYS.values()}

# Which sibling of its holder a signature covers.
COVERED = {
    "CallerInformationSystemSignature": [
        "SenderProvidedRequestData",
        "SenderProvidedResponseData",
        "MessageTypeSelector",
        "AckTargetMessage",
        "Timestamp",
    ],
    "SenderInformationSystemSignature": ["SenderProvidedRequestData", "SenderProvidedResponseData"],
    "SMEVSignature": ["MessageMetadata", "Request", "Response", "AsyncProcessingStatusData"],
    "PersonalSignature": ["MessagePrimaryContent"],
}


def parse(octets):
    return etree.fromstring(octets, etree.XMLParser(resolve_entities=False, huge_tree=True))


def local(element):
    return etree.QName(element).localname


def named(envelope, names):
    """The elements of these names, in the protocol's own namespaces of any version."""
    for element in envelope.iter("{*}*"):
        name = etree.QName(element)
        if name.localname in names and (name.namespace or "").startswith(MESSAGES):
            yield element


def c14n(element):
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False)


# The transform urn://smev-gov-ru/xmldsig/transform.


def code_units(text):
    """Sorts strings as UTF-16 does."""
    return text.encode("utf-16-be")


def escape_text(text):
    # One character a UTF-16 unit: that is what the chunks are counted in.
    octets = text.encode("utf-16-be")
    units = [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2)]
    long = len(units) >= 12
    out, before, escaped = [], None, False
    for at, unit in enumerate(units):
        if at == 0 or long and at % 512 == 0:
            before, escaped = None, False
        if unit == ord(">"):
            escape = before is None or before == ord("]") or long and escaped
        else:
            escape = unit in (ord("<"), ord("&"), ord("\r")) or 0x7F <= unit <= 0x9F
        names = {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}
        out += map(ord, names.get(unit, f"&#x{unit:x};")) if escape else [unit]
        before, escaped = unit, escape
    return b"".join(unit.to_bytes(2, "big") for unit in out).decode("utf-16-be")


ATTRIBUTE = str.maketrans({"<": "&lt;", "&": "&amp;", '"': "&quot;", "\r": "&#xd;", "\n": "&#xa;", "\t": "&#x9;"})


def transform(octets):
    """The SMEV transform of canonical octets."""
    out, count = [], 0

    def put_text(text):
        # Java's trim() leaves nothing of it: dropped.
        if text and any(character > " " for character in text):
            out.append(escape_text(text))

    def put(element, scope):
        nonlocal count
        scope, declared = dict(scope), []

        def prefixed(name):
            nonlocal count
            namespace = name.namespace
            if namespace is None or namespace == "http://www.w3.org/XML/1998/namespace":
                raise ValueError(f"the SMEV transform has no place for {name}")
            if namespace not in scope:
                count += 1
                scope[namespace] = f"ns{count}"
                declared.append(namespace)
            return f"{scope[namespace]}:{name.localname}"

        tag = prefixed(etree.QName(element))
        names = [etree.QName(name) for name in element.attrib]
        # Those with a namespace come first.
        names.sort(key=lambda n: (n.namespace is None, code_units(n.namespace or ""), code_units(n.localname)))
        written = [(prefixed(n) if n.namespace else n.localname, element.get(n.text)) for n in names]
        out.append(f"<{tag}")
        for namespace in declared:
            out.append(f' xmlns:{scope[namespace]}="{namespace.translate(ATTRIBUTE)}"')
        for name, value in written:
            out.append(f' {name}="{value.translate(ATTRIBUTE)}"')
        out.append(">")
        put_text(element.text)
        for child in element:
            if isinstance(child.tag, str):
                put(child, scope)
            put_text(child.tail)
        out.append(f"</{tag}>")

    put(parse(octets), {})
    return "".join(out).encode()


# Hashes, keys.


@functools.cache
def configuration():
    """OpenSSL's configuration with the engine; it lives as long as we do."""
    file = tempfile.NamedTemporaryFile("w", suffix=".cnf")
    file.write(
        "openssl_conf = init\n[init]\nengines = engines\n[engines]\ngost = gost\n"
        "[gost]\nengine_id = gost\ndefault_algorithms = ALL\n"
    )
    file.flush()
    return file


def openssl(*arguments, octets):
    env = {**os.environ, "OPENSSL_CONF": configuration().name}
    return subprocess.run(["openssl", *arguments], input=octets, env=env, capture_output=True, check=True).stdout


def digest(name, octets):
    if name.startswith("md_gost"):
        return openssl("dgst", f"-{name}", "-binary", octets=octets)
    return hashlib.new(name, octets).digest()


def algorithms(certificate):
    return KEYS[certificate.public_key_algorithm_oid.dotted_string]


def sign_octets(key_file, certificate, octets):
    name = algorithms(certificate)[2]
    if name.startswith("md_gost"):
        # The engine writes s and r, big-endian, which is what SMEV wants.
        return openssl("dgst", f"-{name}", "-sign", key_file, "-binary", octets=octets)
    key = serialization.load_pem_private_key(pathlib.Path(key_file).read_bytes(), None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256())))
        size = (key.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())


def verify_octets(certificate, octets, value):
    """Raises an error if the value is not the signature of these octets."""
    name = algorithms(certificate)[2]
    if name.startswith("md_gost"):
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        with tempfile.TemporaryDirectory() as folder:
            key, signature = (os.path.join(folder, file) for file in ("key", "signature"))
            pathlib.Path(key).write_bytes(openssl("x509", "-pubkey", "-noout", octets=pem))
            pathlib.Path(signature).write_bytes(value)
            openssl("dgst", f"-{name}", "-verify", key, "-signature", signature, octets=octets)
        return
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        half = len(value) // 2
        pair = (int.from_bytes(part, "big") for part in (value[:half], value[half:]))
        key.verify(utils.encode_dss_signature(*pair), octets, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(value, octets, padding.PKCS1v15(), hashes.SHA256())


# XML signatures.


def signature(target, key_file, certificate_file):
    """ds:Signature of an element that has an Id, without a single blank between its elements."""
    certificate = x509.load_pem_x509_certificate(pathlib.Path(certificate_file).read_bytes())
    method, digest_method, name = algorithms(certificate)
    made = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})

    def put(parent, tag, octets=None, **attributes):
        element = etree.SubElement(parent, f"{{{DS}}}{tag}", **attributes)
        element.text = octets and base64.b64encode(octets).decode()
        return element

    info = put(made, "SignedInfo")
    put(info, "CanonicalizationMethod", Algorithm=EXC)
    put(info, "SignatureMethod", Algorithm=method)
    reference = put(info, "Reference", URI="#" + target.get("Id"))
    transforms = put(reference, "Transforms")
    put(transforms, "Transform", Algorithm=EXC)
    put(transforms, "Transform", Algorithm=SMEV)
    put(reference, "DigestMethod", Algorithm=digest_method)
    put(reference, "DigestValue", digest(name, transform(c14n(target))))
    put(made, "SignatureValue", sign_octets(key_file, certificate, c14n(info)))
    data = put(put(made, "KeyInfo"), "X509Data")
    put(data, "X509Certificate", certificate.public_bytes(serialization.Encoding.DER))
    return made


def covered(holder):
    """The element that the signature in this holder must cover, by the schema."""
    siblings = [other for other in holder.getparent() if isinstance(other.tag, str)]
    found = next(other for other in siblings if local(other) in COVERED[local(holder)])
    return found[0] if local(found) == "MessagePrimaryContent" else found


def sign(envelope, key_file, certificate_file):
    """The envelope with CallerInformationSystemSignature, in place of one that was there."""
    # What is signed must be what is sent: written out and read once before.
    envelope = parse(etree.tostring(envelope))
    request = envelope.find(f"{{{SOAP}}}Body")[0]
    name = f"{{{etree.QName(request).namespace}}}CallerInformationSystemSignature"
    holder = request.find(name)
    if holder is None:
        holder = etree.SubElement(request, name)
    holder.clear()
    holder.append(signature(covered(holder), key_file, certificate_file))
    return envelope


# What a signature that is not as it should be makes verify() raise.
BROKEN = (AssertionError, AttributeError, LookupError, StopIteration, TypeError, ValueError, etree.LxmlError)


def verify(holder):
    """What the signature in this holder is worth: {valid, reason, algorithm, certificate}."""
    told = {"valid": False, "reason": None, "algorithm": None, "certificate": None}
    try:
        (made,) = holder
        info = made.find(f"{{{DS}}}SignedInfo")
        told["algorithm"] = info.find(f"{{{DS}}}SignatureMethod").get("Algorithm")
        der = base64.b64decode(made.findtext(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"))
        told["certificate"] = base64.b64encode(der).decode()
        certificate = x509.load_der_x509_certificate(der)
        method, _, _ = algorithms(certificate)
        assert told["algorithm"] == method, "the algorithm is not that of the key"
        assert info.find(f"{{{DS}}}CanonicalizationMethod").get("Algorithm") == EXC, "canonicalisation"

        references = info.findall(f"{{{DS}}}Reference")
        assert len(references) == 1, "not one reference"
        target, root = covered(holder), holder.getroottree().getroot()
        identifier = target.get("Id")
        assert references[0].get("URI") == f"#{identifier}", "refers to something else"
        assert len(root.xpath("//*[@Id=$id]", id=identifier)) == 1, "the Id is not unique"
        octets = target
        for step in references[0].iter(f"{{{DS}}}Transform"):
            match step.get("Algorithm"):
                case algorithm if algorithm == EXC:
                    octets = c14n(octets)
                case algorithm if algorithm == SMEV:
                    octets = transform(octets)
                case algorithm:
                    # The signature is not inside of what it covers: nothing to leave out.
                    assert algorithm == ENVELOPED, f"unknown transform {algorithm}"
        name = HASHES[references[0].find(f"{{{DS}}}DigestMethod").get("Algorithm")]
        value = base64.b64decode(references[0].findtext(f"{{{DS}}}DigestValue"))
        assert value == digest(name, octets), "digest"
        value = base64.b64decode(made.findtext(f"{{{DS}}}SignatureValue"))
        verify_octets(certificate, c14n(info), value)
        told["valid"] = True
    except (exceptions.InvalidSignature, subprocess.CalledProcessError):
        told["reason"] = "signature value"
    except BROKEN as error:
        told["reason"] = f"{type(error).__name__}: {error}"
    return told


def verify_all(envelope):
    """The worth of every signature of a message, by the name of its holder."""
    return {local(holder): verify(holder) for holder in named(envelope, COVERED)}


def vectors(folder):
    inputs = sorted(pathlib.Path(folder).glob("*.in.xml"))
    wrong = []
    for path in inputs:
        expected = path.with_name(path.name.replace(".in.xml", ".out.xml")).read_bytes()
        if transform(c14n(parse(path.read_bytes()))) != expected:
            wrong.append(path.name)
    for path in sorted(pathlib.Path(folder).glob("must_reject/*.xml")):
        try:
            transform(c14n(parse(path.read_bytes())))
            wrong.append(path.name)
        except (ValueError, etree.XMLSyntaxError):
            pass
    print(f"{len(inputs)} compared; wrong: {' '.join(wrong) or 'none'}")
    return 1 if wrong or not inputs else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sign", key_file, certificate_file]:
            signed = sign(parse(sys.stdin.buffer.read()), key_file, certificate_file)
            sys.stdout.buffer.write(etree.tostring(signed, encoding="utf-8", xml_declaration=True))
        case ["verify"]:
            print(json.dumps(verify_all(parse(sys.stdin.buffer.read()))))
        case ["verify", *files]:
            print(json.dumps([verify_all(parse(pathlib.Path(file).read_bytes())) for file in files]))
        case ["vectors", folder]:
            sys.exit(vectors(folder))
        case _:
            sys.exit(__doc__)
