"""A foreign supplier: zeep loads our WSDL, signxml signs packages and checks our receipts.

intake_client.py URL KEY.pem CERTIFICATE.pem OUR-CERTIFICATE.pem SUPPLIER
"""

import datetime
import gzip
import io
import sys
import time
import uuid
import zipfile

import requests
import zeep
from lxml import etree
from signxml import CanonicalizationMethod, SignatureConfiguration, SignatureMethod
from signxml import XMLSigner, XMLVerifier, methods

url, key_file, certificate_file, our_file, supplier = sys.argv[1:]
K = "urn:kontingent:intake:1.0"
P = "urn:kontingent:package:1.0"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XOP = "http://www.w3.org/2004/08/xop/include"

key = open(key_file).read()
certificate = open(certificate_file).read()
ours = open(our_file).read()


def package(package_id, persons):
    """A package of persons, signed whole by signxml."""
    root = etree.Element(f"{{{P}}}Package", nsmap={None: P}, Id="package")

    def put(parent, name, text=None, **attributes):
        element = etree.SubElement(parent, f"{{{P}}}{name}", **attributes)
        element.text = text
        return element

    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    header = put(root, "Header")
    put(header, "PackageId", package_id)
    put(header, "Supplier", supplier)
    put(header, "SchemaVersion", "1.0")
    put(header, "Type", "DIARY.PERSONS")
    put(header, "Mode", "UPDATED")
    put(header, "Scope", "REGION")
    put(header, "SnapshotAt", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    put(put(header, "Counts"), "Count", str(len(persons)), block="Persons")
    block = put(put(root, "Data"), "Persons")
    for number, (last, first, born) in enumerate(persons, 1):
        person = put(block, "Person")
        put(person, "ExternalId", f"zeep-{package_id}-{number}")
        put(person, "LastName", last)
        put(person, "FirstName", first)
        put(person, "Sex", "2")
        put(person, "BirthDate", born)
    signer = XMLSigner(
        method=methods.enveloped,
        signature_algorithm=SignatureMethod.RSA_SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    signed = signer.sign(root, key=key, cert=certificate, reference_uri="package", id_attribute="Id")
    return etree.tostring(signed, xml_declaration=True, encoding="UTF-8")


def verify(receipt, package_id):
    """The receipt is signed whole with our key and speaks of this package."""
    expect = SignatureConfiguration(
        signature_methods={SignatureMethod.ECDSA_SHA256, SignatureMethod.RSA_SHA256}
    )
    verified = XMLVerifier().verify(
        receipt, x509_cert=ours, id_attribute="Id", expect_config=expect
    )
    assert verified.signed_xml.tag == etree.fromstring(receipt).tag
    texts = [text.strip() for text in verified.signed_xml.itertext()]
    assert package_id in texts, etree.tostring(verified.signed_xml)
    return verified.signed_xml


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package.xml", content)
    return out.getvalue()


def attached(client, package_id, encoding, content):
    """The envelope that zeep makes, with its content moved into an attachment."""
    operation = client.service._binding._operations["SubmitPackage"]
    envelope = client.create_message(
        client.service, "SubmitPackage", PackageId=package_id, Encoding=encoding, Content=b"-"
    )
    holder = envelope.find(f".//{{{K}}}Content")
    holder.text = None
    etree.SubElement(holder, f"{{{XOP}}}Include", nsmap={"xop": XOP}, href="cid:content@client")
    parts = [
        b'--MIME\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n',
        b"Content-Transfer-Encoding: 8bit\r\nContent-ID: <root@client>\r\n\r\n",
        etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"),
        b"\r\n--MIME\r\nContent-Type: application/octet-stream\r\n",
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <content@client>\r\n\r\n",
        content,
        b"\r\n--MIME--\r\n",
    ]
    kind = (
        'multipart/related; type="application/xop+xml"; boundary=MIME; '
        'start="<root@client>"; start-info="text/xml"'
    )
    headers = {"Content-Type": kind, "SOAPAction": f'"{operation.soapaction}"'}
    response = requests.post(url, data=b"".join(parts), headers=headers, timeout=300)
    return client.service._binding.process_reply(client, operation, response)


def patiently(send):
    """Sends again what may succeed later, as every supplier should."""
    for _ in range(60):
        try:
            return send()
        except zeep.exceptions.Fault as fault:
            if fault.code != "soap:Server":
                raise
            time.sleep(1)
    raise AssertionError("the service is never ready")


client = zeep.Client(url + "?wsdl")
service = client.service
operations = sorted(service._binding._operations)
assert operations == ["GetPackageStatus", "GetReceipt", "Ping", "SubmitPackage"], operations
assert service._binding_options["address"] == url
assert service.Ping(), "Ping says its version"

persons = [("Иванова", "Мария", "2012-03-04"), ("Петрова", "Анна", "2011-11-30")]
asked = []
for encoding, packed, sizes in [
    ("plain", bytes, (1, 700)),
    ("gzip", gzip.compress, (1,)),
    ("zip", zipped, (1,)),
]:
    for many in sizes:
        for way in ("inline", "attached"):
            package_id = str(uuid.uuid4())
            content = package(package_id, persons * many)
            body = packed(content)
            if way == "inline":
                send = lambda: service.SubmitPackage(
                    PackageId=package_id, Encoding=encoding, Content=body
                )
            else:
                send = lambda: attached(client, package_id, encoding, body)
            first = patiently(send)
            assert (first.PackageId, first.Duplicate) == (package_id, False), first
            verify(first.Receipt, package_id)
            again = patiently(send)
            assert again.Duplicate and again.Receipt == first.Receipt, "the same receipt again"
            if many == 1:
                asked.append(package_id)

# Changed after signing: a fault that zeep understands, with our code in its detail.
package_id = str(uuid.uuid4())
forged = package(package_id, persons).replace("Мария".encode(), "Марья".encode())
try:
    patiently(lambda: service.SubmitPackage(Encoding="plain", Content=forged))
    raise AssertionError("a forged package was taken")
except zeep.exceptions.Fault as fault:
    assert fault.code == "soap:Client", fault.code
    detail = client.wsdl.types.deserialize(fault.detail[0])
    assert (detail.Code, detail.Retryable) == ("SIG_DIGEST", False), detail
    assert detail.CorrelationId

for package_id in asked:
    deadline = time.monotonic() + 60
    while service.GetPackageStatus(Supplier=supplier, PackageId=package_id).State == "received":
        assert time.monotonic() < deadline, "the package is not processed"
        time.sleep(0.1)
    status = service.GetPackageStatus(Supplier=supplier, PackageId=package_id)
    assert (status.State, status.Records) == ("registered", 2), status
    answer = service.GetReceipt(Supplier=supplier, PackageId=package_id)
    assert answer.Final
    verify(answer.Receipt, package_id)

try:
    service.GetReceipt(Supplier="NOBODY", PackageId=asked[0])
    raise AssertionError("a stranger got a receipt")
except zeep.exceptions.Fault as fault:
    assert fault.detail[0].findtext(f"{{{K}}}Code") == "NOT_FOUND"
