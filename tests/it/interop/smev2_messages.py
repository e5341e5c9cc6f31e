"""Makes messages of SMEV 2 in a folder, good ones and hostile ones, with lxml and cryptography: WS-Security over the body, and an
enveloped signature over AppData. Prints nothing; expected.tsv in the folder gives the code of each."""

import base64
import hashlib
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

folder, key_file, certificate_file, other_file = map(pathlib.Path, sys.argv[1:5])
key = serialization.load_pem_private_key(key_file.read_bytes(), None)
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = OASIS + "wssecurity-secext-1.0.xsd", OASIS + "wssecurity-utility-1.0.xsd"
SOAP, SMEV = "http://schemas.xmlsoap.org/soap/envelope/", "http://smev.gosuslugi.ru/rev120315"


def der(file):
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def canonical(element):
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)


def signature(element, uri, enveloped, key_info):
    first = f'<ds:Transform Algorithm="{DS}enveloped-signature"/>' if enveloped else ""
    digest = base64.b64encode(hashlib.sha256(canonical(element)).digest()).decode()
    info = (
        f'<ds:SignedInfo xmlns:ds="{DS}"><ds:CanonicalizationMethod Algorithm="{EXC}"/><ds:SignatureMethod '
        f'Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI="#{uri}"><ds:Transforms>{first}'
        f'<ds:Transform Algorithm="{EXC}"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    value = base64.b64encode(key.sign(canonical(etree.fromstring(info)), padding.PKCS1v15(), hashes.SHA256())).decode()
    return (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo>{key_info}</ds:KeyInfo></ds:Signature>'
    )


def message(actor="http://smev.gosuslugi.ru/actors/smev", personal=True, stamp="", token="token", certificate=certificate_file, extra=""):
    app = f'<s:AppData Id="app"><x:Order xmlns:x="urn:order"><x:Text>Ёлка &gt;</x:Text></x:Order></s:AppData>'
    envelope = (
        f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:s="{SMEV}" xmlns:wsu="{WSU}"><soap:Header>SECURITY{extra}</soap:Header>'
        f'<soap:Body wsu:Id="body"><x:Call xmlns:x="urn:service"><s:Message/><s:MessageData>{app}</s:MessageData></x:Call></soap:Body></soap:Envelope>'
    )
    if personal:
        data = etree.fromstring(envelope).find(f".//{{{SMEV}}}AppData")
        own = signature(data, "app", True, f"<ds:X509Data><ds:X509Certificate>{der(certificate_file)}</ds:X509Certificate></ds:X509Data>")
        envelope = envelope.replace("</s:AppData>", own + "</s:AppData>")
    body = etree.fromstring(envelope).find(f"{{{SOAP}}}Body")
    link = f'<w:SecurityTokenReference xmlns:w="{WSSE}"><w:Reference URI="#{token}" ValueType="{OASIS}x509-token-profile-1.0#X509v3"/></w:SecurityTokenReference>'
    mark = f' soap:actor="{actor}"' if actor else ""
    security = (
        f'<w:Security xmlns:w="{WSSE}"{mark}><w:BinarySecurityToken wsu:Id="token" ValueType="{OASIS}x509-token-profile-1.0#X509v3" '
        f'EncodingType="{OASIS}soap-message-security-1.0#Base64Binary">{der(certificate)}</w:BinarySecurityToken>'
        f'{signature(body, "body", False, link)}{stamp}</w:Security>'
    )
    return envelope.replace("SECURITY", security)


def stamp(created, expires):
    return f"<wsu:Timestamp><wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp>"


good = message()
start, end = good.index("<soap:Body"), good.index("</soap:Body>") + len("</soap:Body>")
forged = good[start:end].replace("Ёлка", "Сосна")
cases = {
    "both": ("OK", good),
    "no-actor": ("OK", message(actor="", personal=False)),
    "recipient": ("OK", message(actor="http://smev.gosuslugi.ru/actors/recipient")),
    "timestamp-not-signed": ("SIG_COVERAGE", message(stamp=stamp("2027-01-01T00:00:10Z", "2027-01-01T00:04:00Z"))),
    "expired": ("MESSAGE_EXPIRED", message(stamp=stamp("2026-12-31T23:00:00Z", "2026-12-31T23:05:00Z"))),
    "from-the-future": ("MESSAGE_EXPIRED", message(stamp=stamp("2027-01-01T00:02:00Z", "2027-01-01T00:03:00Z"))),
    "ten-years": ("MESSAGE_EXPIRED", message(stamp=stamp("2027-01-01T00:00:00Z", "2037-01-01T00:00:00Z"))),
    "no-zone": ("MESSAGE_EXPIRED", message(stamp=stamp("2027-01-01T00:00:00", "2027-01-01T00:01:00"))),
    "leap-second": ("MESSAGE_EXPIRED", message(stamp=stamp("2026-12-31T23:59:60Z", "2027-01-01T00:01:00Z"))),
    "two-timestamps": ("SIG_STRUCTURE", message(stamp=2 * stamp("2027-01-01T00:00:10Z", "2027-01-01T00:04:00Z"))),
    "body-changed": ("SIG_DIGEST", good.replace("<s:Message/>", "<s:Message>1</s:Message>")),
    "app-data-changed": ("SIG_DIGEST", good.replace("Ёлка", "Сосна")),
    "body-moved": ("SIG_DUPLICATE_ID", good.replace("<soap:Header>", f"<soap:Header><old>{good[start:end]}</old>").replace(good[start:end], good[start:end], 1)),
    "body-wrapped": ("SIG_WRAPPING", good[:start].replace("</soap:Header>", f"<old>{good[start:end]}</old></soap:Header>") + forged.replace('wsu:Id="body"', 'wsu:Id="other"').replace('Id="app"', 'Id="app2"').replace("#app", "#app2") + good[end:]),
    "two-headers": ("SIG_STRUCTURE", message(extra=f'<w:Security xmlns:w="{WSSE}" soap:actor="http://smev.gosuslugi.ru/actors/smev"/>')),
    "header-for-another": ("OK", message(extra=f'<w:Security xmlns:w="{WSSE}" soap:actor="urn:another"/>')),
    "unsigned": ("SIG_MISSING", good[: good.index("<w:Security")] + good[good.index("</w:Security>") + len("</w:Security>") :]),
    "no-such-token": ("SIG_KEYINFO", message(token="none")),
    "foreign-certificate": ("SIG_VALUE", message(certificate=other_file)),
}
rows = []
for name, (code, text) in cases.items():
    (folder / f"{name}.xml").write_text(text, encoding="utf-8")
    rows.append(f"{name}\t{code}\n")
(folder / "expected.tsv").write_text("".join(rows))
